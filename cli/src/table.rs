//! Tables and colour for people: 80 columns when nobody says otherwise, no colour under `NO_COLOR` or without a terminal.

use std::io::IsTerminal;

/// Columns of the terminal; 80 where there is none.
pub fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let of_terminal = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    asked.or_else(of_terminal).filter(|columns| *columns >= 20).unwrap_or(80)
}

/// Where lines of a table end: as kubectl, nowhere where nobody reads them on a terminal.
pub fn cut() -> usize {
    if is_terminal() { width() } else { usize::MAX }
}

pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

pub fn colour() -> bool {
    is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Strong,
}

pub fn paint(tone: Tone, text: &str) -> String {
    if !colour() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Left-aligned columns two spaces apart, as kubectl prints them; lines are cut at `width`.
pub fn columns(head: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let layout = Layout::new(head, rows, width);
    let mut text = layout.line(head.iter().copied());
    for row in rows {
        text.push_str(&layout.line(row.iter().map(String::as_str)));
    }
    text
}

/// How wide the columns of a table are, for its lines and those that follow it later.
#[derive(Debug, Clone)]
pub struct Layout {
    widths: Vec<usize>,
    cut: usize,
}

impl Layout {
    pub fn new(head: &[&str], rows: &[Vec<String>], cut: usize) -> Self {
        let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        Self { widths, cut }
    }

    /// Cells beyond the last column follow it; what is cut off leaves an ellipsis.
    pub fn line<'c>(&self, cells: impl IntoIterator<Item = &'c str>) -> String {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().copied().chain(std::iter::repeat(0)).zip(cells) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', (width + 2).saturating_sub(cell.chars().count()).max(2)));
        }
        let line = line.trim_end();
        match line.char_indices().nth(self.cut) {
            None => format!("{line}\n"),
            Some(_) => line.chars().take(self.cut.saturating_sub(1)).chain("…\n".chars()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;

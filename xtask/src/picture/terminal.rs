//! As much of a terminal as our own output needs (colours, cursor up, erase below), and its screen as SVG. Pure: text in, text out.

/// What is on the screen, from the first line on; nothing scrolls away.
#[derive(Debug)]
pub struct Terminal {
    lines: Vec<Line>,
    row: usize,
    column: usize,
    columns: usize,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    bold: bool,
    /// Of the sixteen colours' first eight: 31 is 1.
    colour: Option<u8>,
}

#[derive(Debug, Clone, Default)]
pub struct Line(Vec<(char, Style)>);

impl Line {
    pub fn text(&self) -> String {
        self.0.iter().map(|(character, _)| character).collect::<String>().trim_end().to_owned()
    }
}

impl Terminal {
    pub fn new(columns: usize) -> Self {
        Self { lines: vec![Line::default()], row: 0, column: 0, columns, style: Style::default() }
    }

    pub fn feed(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\r' => self.column = 0,
                '\n' => self.down(),
                '\u{1b}' => {
                    let sequence: String = rest.by_ref().take_while_inclusive(|c| *c == '[' || !c.is_ascii_alphabetic());
                    self.control(&sequence);
                }
                c if c.is_control() => {}
                c => self.put(c),
            }
        }
    }

    fn control(&mut self, sequence: &str) {
        let Some((parameters, command)) = sequence.strip_prefix('[').and_then(|s| s.split_at_checked(s.len() - 1)) else { return };
        match command {
            "A" => self.row = self.row.saturating_sub(parameters.parse().unwrap_or(1)),
            "J" => {
                self.lines.truncate(self.row + 1);
                self.lines[self.row].0.truncate(self.column);
            }
            "m" => parameters.split(';').for_each(|parameter| match parameter.parse().unwrap_or(0) {
                0 => self.style = Style::default(),
                1 => self.style.bold = true,
                colour @ 30..=37 => self.style.colour = Some(colour - 30),
                _ => {}
            }),
            _ => {}
        }
    }

    fn down(&mut self) {
        self.row += 1;
        self.column = 0;
        if self.row == self.lines.len() {
            self.lines.push(Line::default());
        }
    }

    fn put(&mut self, character: char) {
        if self.column == self.columns {
            self.down();
        }
        let cells = &mut self.lines[self.row].0;
        while cells.len() <= self.column {
            cells.push((' ', Style::default()));
        }
        cells[self.column] = (character, self.style);
        self.column += 1;
    }

    /// Lines before the first that begins so, without empty ones at the end.
    pub fn lines_until(&self, start: &str) -> Vec<Line> {
        let mut lines: Vec<Line> = self.lines.iter().take_while(|line| !line.text().starts_with(start)).cloned().collect();
        while lines.last().is_some_and(|line| line.text().is_empty()) {
            lines.pop();
        }
        lines
    }
}

/// [`Iterator::take_while`] with the first that fails.
trait TakeWhileInclusive: Iterator<Item = char> + Sized {
    fn take_while_inclusive(self, holds: impl Fn(&char) -> bool) -> String {
        let mut taken = String::new();
        for character in self {
            taken.push(character);
            if !holds(&character) {
                break;
            }
        }
        taken
    }
}

impl<I: Iterator<Item = char>> TakeWhileInclusive for I {}

const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 16.0;
/// Black, red, green, yellow, blue, magenta, cyan, white, on a dark ground.
const COLOURS: [&str; 8] = ["#6b7280", "#f87171", "#4ade80", "#facc15", "#60a5fa", "#e879f9", "#22d3ee", "#e5e7eb"];

/// A picture of the lines, with a title for those who do not see it.
pub fn svg(title: &str, lines: &[Line], columns: usize) -> String {
    let (width, height) = (columns as f64 * CELL.0 + 2.0 * MARGIN, lines.len() as f64 * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#111827\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" fill=\"#e5e7eb\" xml:space=\"preserve\">\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + (row as f64 + 0.75) * CELL.1;
        for (column, text, style) in runs(line) {
            let x = MARGIN + column as f64 * CELL.0;
            let bold = if style.bold { " font-weight=\"bold\"" } else { "" };
            let fill = style.colour.map_or_else(String::new, |colour| format!(" fill=\"{}\"", COLOURS[usize::from(colour)]));
            // Its length is said, so that columns line up in whatever font there is.
            let length = text.chars().count() as f64 * CELL.0;
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            svg.push_str(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{bold}{fill}>{text}</text>\n"));
        }
    }
    svg + "</g>\n</svg>\n"
}

/// Words that stand together in one style, each with the column where it begins.
fn runs(line: &Line) -> Vec<(usize, String, Style)> {
    let mut runs: Vec<(usize, String, Style)> = Vec::new();
    for (column, (character, style)) in line.0.iter().enumerate() {
        match runs.last_mut() {
            Some((start, text, last)) if *last == *style && *start + text.chars().count() == column => text.push(*character),
            _ => runs.push((column, character.to_string(), *style)),
        }
    }
    // Two spaces or more end a run, so that no column depends on the width of another.
    let split = |(start, text, style): (usize, String, Style)| {
        let mut parts = Vec::new();
        let characters: Vec<char> = text.chars().collect();
        let (mut from, mut at) = (0, 0);
        while at <= characters.len() {
            let gap = at == characters.len() || (characters[at] == ' ' && characters.get(at + 1).is_none_or(|next| *next == ' '));
            if gap {
                if at > from {
                    parts.push((start + from, characters[from..at].iter().collect::<String>(), style));
                }
                while at < characters.len() && characters[at] == ' ' {
                    at += 1;
                }
                from = at;
                if at == characters.len() {
                    break;
                }
            }
            at += 1;
        }
        parts
    };
    runs.into_iter().flat_map(split).collect()
}

#[cfg(test)]
mod tests;

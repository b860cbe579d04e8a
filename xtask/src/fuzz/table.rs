//! The table of `fuzz/README.md` that says what was spent on each target since it is there: each run is added to it. Knows no fuzzer.

/// The first cells of its head, by which it is found.
const HEAD: &str = "| target | last run |";

/// What one run took and did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    pub wall_seconds: u64,
    pub cpu_seconds: u64,
    pub executions: u64,
    /// Of the last run alone.
    pub coverage: u64,
}

/// The page with a run added to its target's row, `when` (and of what commit) it was; `None` where it has no such table.
pub fn add(page: &str, target: &str, when: &str, spent: Spent) -> Option<String> {
    let lines: Vec<&str> = page.lines().collect();
    let head = lines.iter().position(|line| line.starts_with(HEAD))?;
    let first = head + 2;
    let end = first + lines.get(first..)?.iter().take_while(|line| line.starts_with('|')).count();
    let mut rows: Vec<String> = lines[first..end].iter().map(|line| (*line).to_owned()).collect();
    let begin = format!("| `{target}` |");
    let at = rows.iter().position(|row| row.starts_with(&begin));
    let before: Vec<&str> = at.map(|at| rows[at].split('|').map(str::trim).collect()).unwrap_or_default();
    let was = |cell: usize| before.get(cell).map_or(0, |text| number(text));
    let finds = before.get(7).filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!("{text} "));
    let (wall, cpu) = (thousands(was(3) + spent.wall_seconds), thousands(was(4) + spent.cpu_seconds));
    let (executions, coverage) = (thousands(was(5) + spent.executions), thousands(spent.coverage));
    let row = format!("{begin} {when} | {wall} | {cpu} | {executions} | {coverage} | {finds}|");
    match at {
        Some(at) => rows[at] = row,
        None => rows.push(row),
    }
    rows.sort();
    let all = lines[..first].iter().map(|line| (*line).to_owned()).chain(rows).chain(lines[end..].iter().map(|line| (*line).to_owned()));
    Some(all.map(|line| line + "\n").collect())
}

/// `1,234` and what may stand behind it.
fn number(text: &str) -> u64 {
    let digits = text.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap_or(0)
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

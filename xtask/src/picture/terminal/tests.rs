use super::*;

#[test]
fn a_table_that_is_drawn_anew_stands_once() {
    let mut terminal = Terminal::new(20);
    terminal.feed("first\r\n\u{1b}[1mmesh\u{1b}[0m 1\r\nold line\r\n");
    terminal.feed("\u{1b}[2A\r\u{1b}[J\u{1b}[1mmesh\u{1b}[0m 2\r\n\u{1b}[32mok\u{1b}[0m\r\n\r\nend of it\r\n");
    let texts: Vec<String> = terminal.lines_until("end").iter().map(Line::text).collect();
    assert_eq!(texts, ["first", "mesh 2", "ok"]);
}

#[test]
fn long_lines_go_on_below() {
    let mut terminal = Terminal::new(4);
    terminal.feed("abcdef");
    assert_eq!(terminal.lines_until("none").iter().map(Line::text).collect::<Vec<_>>(), ["abcd", "ef"]);
}

#[test]
fn columns_and_styles_are_runs_of_their_own() {
    let mut terminal = Terminal::new(40);
    terminal.feed("a b  <c>\u{1b}[31mred\u{1b}[0m   ");
    let lines = terminal.lines_until("none");
    let runs: Vec<(usize, String)> = runs(&lines[0]).into_iter().map(|(column, text, _)| (column, text)).collect();
    assert_eq!(runs, [(0, "a b".to_owned()), (5, "<c>".to_owned()), (8, "red".to_owned())]);
    let drawn = svg("x", &lines, 40);
    assert!(drawn.contains(">&lt;c></text>") && drawn.contains("fill=\"#f87171\">red"), "{drawn}");
}

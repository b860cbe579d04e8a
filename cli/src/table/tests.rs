use super::*;

#[test]
fn columns_line_up_and_end_at_the_width() {
    let rows = vec![vec!["web".to_owned(), "50".to_owned()], vec!["catalog".to_owned(), "µ".to_owned()]];
    assert_eq!(columns(&["SERVICE", "REQ/S"], &rows, 80), "SERVICE  REQ/S\nweb      50\ncatalog  µ\n");
    assert_eq!(columns(&["SERVICE", "REQ/S"], &rows, 10), "SERVICE  …\nweb      …\ncatalog  µ\n");
}

use super::*;

#[tokio::test(start_paused = true)]
async fn between_parts_there_is_a_rest() {
    let (began, lines) = (rt::now(), vec!["x".to_owned(); 9]);
    let all = of_lines(&lines, 4, |line| [line.len()]).await;
    assert_eq!((all.len(), rt::now().saturating_duration_since(began)), (lines.len(), 3 * limits::REST));
}

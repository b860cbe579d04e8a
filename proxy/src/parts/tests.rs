use super::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn between_parts_there_is_a_rest_and_of_many_lines_there_are_larger_parts() {
    for (lines, rests) in [(0, 0), (1, 1), (limits::LINES_PART + 1, 2), (limits::OTLP_BATCH, limits::PARTS as u32)] {
        let (began, lines) = (rt::now(), vec!["x".to_owned(); lines]);
        let all = of_lines(&lines, |line| [line.len()]).await;
        let rested: Duration = rt::now().saturating_duration_since(began);
        assert_eq!((all.len(), rested), (lines.len(), rests * limits::REST));
    }
}

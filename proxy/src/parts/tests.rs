use super::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn between_parts_there_is_a_rest_and_of_many_lines_there_are_larger_parts() {
    for (lines, rests) in [(0, 0), (1, 1), (limits::LINES_PART + 1, 2), (limits::OTLP_BATCH, limits::LINES_PARTS as u32)] {
        let (began, lines) = (rt::now(), vec!["x".to_owned(); lines]);
        let all = of_lines(&lines, |line| [line.len()]).await;
        let rested: Duration = rt::now().saturating_duration_since(began);
        assert_eq!((all.len(), rested), (lines.len(), rests * limits::REST));
    }
}

#[test]
fn a_part_is_a_few_and_of_many_no_more_parts_are_made_than_so_many() {
    for (of, wanted) in [(0, 16), (16, 16), (64, 16), (65, 17), (256, 64), (1024, 256)] {
        assert_eq!(size(of, 16, 4), wanted, "{of}");
    }
}

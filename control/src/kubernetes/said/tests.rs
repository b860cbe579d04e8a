use super::*;
use futures_util::{StreamExt, TryStreamExt};

#[tokio::test]
async fn what_is_not_utf_8_is_a_line_too_and_why_it_broke_off_comes_last() {
    let pieces = [Ok(b"first\nsec".to_vec()), Ok(b"ond \xff\r\n\nthi".to_vec()), Err(io::Error::other("it is gone"))];
    let said = each(stream::iter(pieces).into_async_read());
    let told: Vec<Result<String, String>> = said.map(|line| line.map_err(|e| e.to_string())).collect().await;
    let lines = ["first", "second \u{fffd}", ""].map(|line| Ok(line.to_owned()));
    assert_eq!(told, lines.into_iter().chain([Err("it is gone".to_owned())]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_last_line_without_an_end_is_one() {
    let said = each(&b"first\nlast"[..]);
    assert_eq!(said.try_collect::<Vec<String>>().await.unwrap(), ["first", "last"]);
}

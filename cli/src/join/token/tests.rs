use super::*;

#[test]
fn so_much_is_read_of_a_file_with_a_token() {
    let path = std::env::temp_dir().join(format!("organza-token-{}", std::process::id()));
    let token = Token::create(b"root", "10.0.0.1:15012").expect("a token");
    let read = |blanks: usize| {
        std::fs::write(&path, format!("{}{}.", &*token.to_text(), " ".repeat(blanks))).expect("written");
        super::read(&path).is_ok_and(|found| found == token)
    };
    let length = token.to_text().len();
    let most = usize::try_from(limits::TOKEN_BYTES).expect("a length");
    // The point is no part of a token.
    assert!(read(most - length) && !read(most - length - 1));
    std::fs::remove_file(path).expect("cleaned");
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_says_nothing_is_waited_for_so_long_and_no_longer() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("its address");
    let begun = tokio::time::Instant::now();
    let asked = tokio::time::timeout(limits::ANSWER * 2, ask([0; 32], address, JoinRequest::default())).await;
    assert_eq!(asked.expect("it is given up").err().as_deref(), Some("no answer"));
    assert_eq!(begun.elapsed(), limits::ANSWER);
}

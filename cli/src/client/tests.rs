use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

#[tokio::test]
async fn an_answer_is_of_so_many_bytes_and_no_more() {
    let socket = std::env::temp_dir().join(format!("organza-client-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket).expect("a socket");
    let server = tokio::spawn(async move {
        for length in [1000, limits::ANSWER_BYTES + 1] {
            let (mut stream, _) = listener.accept().await.expect("a question");
            assert!(stream.read(&mut [0; 4096]).await.expect("its head") > 0);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("a head");
            // Who has had enough closes.
            let _ = stream.write_all(&vec![b'x'; length]).await;
        }
    });
    let client = Client::admin(&socket, "web");
    assert_eq!(client.text("/").await.expect("an answer").len(), 1000);
    assert!(client.text("/").await.expect_err("it is too much").what.contains("broke off its answer"));
    server.await.expect("the server ends");
    std::fs::remove_file(socket).expect("cleaned");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_waited_for_so_long_and_no_longer() {
    let socket = std::env::temp_dir().join(format!("organza-client-silent-{}.sock", std::process::id()));
    let _silent = UnixListener::bind(&socket).expect("a socket");
    let begun = tokio::time::Instant::now();
    let client = Client::admin(&socket, "web");
    let late = tokio::time::timeout(limits::ANSWER * 2, client.text("/")).await.expect("it is given up").expect_err("no answer");
    assert!(late.what.contains("does not answer"), "{late}");
    assert_eq!(begun.elapsed(), limits::ANSWER);
    std::fs::remove_file(socket).expect("cleaned");
}

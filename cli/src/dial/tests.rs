use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_is_given_up() {
    let begun = tokio::time::Instant::now();
    let nowhere = in_time(std::future::pending::<std::io::Result<()>>());
    let given_up = tokio::time::timeout(limits::CONNECT * 2, nowhere).await.expect("in time");
    assert_eq!((given_up, begun.elapsed()), (Err(Trouble::Connect), limits::CONNECT));
    assert_eq!(in_time(std::future::ready(Ok(1))).await, Ok(1));
}

#[tokio::test]
async fn a_body_is_of_so_many_bytes_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let lengths = [limits::SAMPLE_BODY, limits::SAMPLE_BODY + 1];
    let server = tokio::spawn(async move {
        for length in lengths {
            let (mut stream, _) = listener.accept().await.expect("a question");
            assert!(stream.read(&mut [0; 4096]).await.expect("its head") > 0);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("a head");
            // Who has had enough closes.
            let _ = stream.write_all(&vec![b'x'; length]).await;
        }
    });
    let target: Uri = format!("http://{address}/").parse().expect("a URI");
    let ask = async || {
        let request = Request::builder().uri(&target).body(Full::default()).expect("a request");
        Dial::direct(&address).send(&target, request).await.map(|(_, body)| body.len())
    };
    assert_eq!(ask().await, Ok(limits::SAMPLE_BODY));
    assert_eq!(ask().await, Err(Trouble::Body));
    server.await.expect("the server ends");
}

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Where a sample serves, what ends it, and its own end.
async fn serving() -> (SocketAddr, tokio::sync::watch::Sender<bool>, JoinHandle<Outcome>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let (end, lifeline) = Lifeline::held();
    let sample = Sample { name: "catalog".into(), version: "v1".into(), upstreams: Vec::new() };
    (address, end, tokio::spawn(serve(listener, Arc::new(sample), lifeline)))
}

#[tokio::test]
async fn a_question_is_of_so_many_bytes_and_no_more() {
    let (address, _end, _served) = serving().await;
    let target: Uri = format!("http://{address}/").parse().expect("a URI");
    let ask = async |length: usize| {
        let request = Request::builder().method("POST").uri(&target).body(Full::new(vec![b'x'; length].into())).expect("a request");
        Dial::direct(&address.to_string()).send(&target, request).await.expect("an answer").0.status
    };
    assert_eq!(ask(limits::SAMPLE_BODY).await, StatusCode::OK);
    assert_eq!(ask(limits::SAMPLE_BODY + 1).await, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_question_under_way_may_end_for_so_long_and_no_longer() {
    let (address, end, served) = serving().await;
    let mut caller = TcpStream::connect(address).await.expect("it listens");
    caller.write_all(b"POST /echo HTTP/1.1\r\nHost: catalog\r\nContent-Length: 9\r\n\r\nhalf").await.expect("half a question");
    // Its answer has begun, and cannot end before the question has.
    assert!(caller.read(&mut [0; 4096]).await.expect("a head") > 0);
    let begun = Instant::now();
    end.send_replace(true);
    tokio::time::timeout(limits::DRAIN, served).await.expect("it is cut off").expect("a task").expect("it ends well");
    assert_eq!(begun.elapsed(), limits::DRAIN / 2);
}

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn the_port_of_a_link_is_read() {
    assert_eq!(port("http://127.0.0.1:4711/abc/enter?code=x"), Some(4711));
    assert_eq!((port("http://example.com:1/"), port("http://127.0.0.1:x/")), (None, None));
}

#[tokio::test]
async fn so_many_connections_of_a_browser_are_carried_and_the_next_waits() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (now, come) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let may_end = Arc::new(Semaphore::new(0));
    let (counted, comes, ends) = (now.clone(), come.clone(), may_end.clone());
    tokio::spawn(carry(listener, move |stream| {
        let (now, come, may_end) = (counted.clone(), comes.clone(), ends.clone());
        async move {
            now.fetch_add(1, Ordering::SeqCst);
            come.add_permits(1);
            may_end.acquire().await.unwrap().forget();
            now.fetch_sub(1, Ordering::SeqCst);
            drop(stream);
        }
    }));
    let mut streams = Vec::new();
    for _ in 0..=limits::CARRIED {
        // The kernel takes it: whether it is carried is another matter.
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    come.acquire_many(limits::CARRIED as u32).await.unwrap().forget();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((now.load(Ordering::SeqCst), come.available_permits()), (limits::CARRIED, 0));
    may_end.add_permits(1);
    come.acquire().await.unwrap().forget();
    assert_eq!(now.load(Ordering::SeqCst), limits::CARRIED);
}

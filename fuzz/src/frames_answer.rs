//! HTTP/2 as a server may speak it: anything, to two requests that are waiting for their answers. The first byte says where the rest is cut into
//! two reads.

use crate::run::run;
use bytes::{Bytes, BytesMut};
use model::{RequestHead, ResponseHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Stream;
use transport::body::Length;
use transport::h2::Client;

pub fn check(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let at = usize::from(*cut) * bytes.len() / 256;
    let pieces = [bytes[..at].to_vec(), bytes[at..].to_vec()];
    run(async {
        let (mut server, client) = Stream::pair(1 << 20);
        transport::rt::spawn(async move {
            for piece in pieces {
                let _ = server.write_all(&piece).await;
                tokio::task::yield_now().await;
            }
            let _ = server.shutdown().await;
            let _ = server.read_to_end(&mut Vec::new()).await;
        });
        let Ok(client) = Client::new(client, BytesMut::new()).await else { return };
        tokio::join!(ask(&client, Length::None), ask(&client, Length::Open));
    });
}

async fn ask(client: &Client, length: Length) {
    let mut head = RequestHead::default();
    head.set_authority("a.example");
    head.set_target("/");
    let Ok((mut to, mut answer)) = client.request(&head, length) else { return };
    if length == Length::Open {
        let _ = to.send(Bytes::from_static(b"body")).await;
        let _ = to.finish(None).await;
    }
    let mut head = ResponseHead::default();
    loop {
        match answer.head(&mut head).await {
            Ok(None) => {}
            Ok(Some(mut body)) => {
                while let Ok(Some(_)) = body.chunk().await {}
                let _ = body.trailers();
                return;
            }
            Err(_) => return,
        }
    }
}

//! Conversations of both roles with the `h2` crate at the other end: whatever is asked and answered arrives as it was sent.

use super::*;
use proptest::prelude::*;

/// One exchange: what the request and the answer are made of.
#[derive(Debug, Clone)]
struct Talk {
    fields: Vec<(String, String)>,
    request: Message,
    answer: Message,
    status: u16,
}

#[derive(Debug, Clone)]
struct Message {
    pieces: Vec<usize>,
    /// Whether the length is announced.
    known: bool,
    trailers: bool,
}

impl Message {
    fn size(&self) -> usize {
        self.pieces.iter().sum()
    }

    fn length(&self) -> Length {
        match self.size() {
            0 if !self.trailers => Length::None,
            size if self.known => Length::Known(size as u64),
            _ => Length::Open,
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    let piece = prop_oneof![4 => 1usize..200, 2 => 1usize..20_000, 1 => 1usize..150_000];
    (prop::collection::vec(piece, 0..4), any::<bool>(), any::<bool>()).prop_map(|(pieces, known, trailers)| {
        // A length of nothing with trailers behind it would be another case.
        let known = known && !pieces.is_empty();
        Message { pieces, known, trailers }
    })
}

fn talk() -> impl Strategy<Value = Talk> {
    let name = prop_oneof!["x-[a-e]", "accept", "user-agent", "cookie", "authorization"];
    let value = prop_oneof!["[a-d]", "[!-~]{1,40}", "[a-z]{300,900}"];
    let fields = prop::collection::vec((name, value), 0..8).prop_map(|mut fields| {
        fields.sort();
        fields.dedup_by(|a, b| a.0 == b.0);
        fields
    });
    (fields, message(), message(), prop_oneof![Just(200u16), Just(201), Just(404), Just(503)])
        .prop_map(|(fields, request, answer, status)| Talk { fields, request, answer, status })
}

fn filled(size: usize, seed: usize) -> Bytes {
    Bytes::from((0..size).map(|at| (at * 31 + seed) as u8).collect::<Vec<_>>())
}

/// All pieces of a message as one.
fn whole(message: &Message) -> Vec<u8> {
    message.pieces.iter().enumerate().flat_map(|(seed, size)| filled(*size, seed)).collect()
}

async fn write_ours(writer: &mut BodyWriter, message: &Message) {
    for (seed, size) in message.pieces.iter().enumerate() {
        writer.send(filled(*size, seed)).await.unwrap();
    }
    let mut trailers = model::HeaderBlock::default();
    trailers.push("x-trailer", b"told");
    writer.finish(message.trailers.then_some(&trailers)).await.unwrap();
}

async fn read_ours(body: &mut BodyReader, message: &Message) {
    assert_eq!(body.length(), message.length());
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    assert!(all == whole(message), "body differs");
    assert_eq!(body.trailers().map(|t| t.text("x-trailer").map(str::to_owned)), message.trailers.then(|| Some("told".to_owned())));
}

async fn write_theirs(send: &mut ::h2::SendStream<Bytes>, message: &Message) {
    for (seed, size) in message.pieces.iter().enumerate() {
        let mut piece = filled(*size, seed);
        while !piece.is_empty() {
            send.reserve_capacity(piece.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            let part = piece.split_to(room.min(piece.len()));
            send.send_data(part, false).unwrap();
        }
    }
    match message.trailers {
        true => {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-trailer", "told".parse().unwrap());
            send.send_trailers(trailers).unwrap();
        }
        false => send.send_data(Bytes::new(), true).unwrap(),
    }
}

async fn read_theirs(recv: &mut ::h2::RecvStream, message: &Message) {
    let mut all = Vec::new();
    while let Some(piece) = recv.data().await {
        let piece = piece.unwrap();
        recv.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
    }
    assert!(all == whole(message), "body differs");
    let trailers = recv.trailers().await.unwrap();
    assert_eq!(trailers.map(|t| t["x-trailer"].to_str().unwrap().to_owned()), message.trailers.then(|| "told".to_owned()));
}

fn told_length(message: &Message) -> Option<String> {
    if let Length::Known(n) = message.length() { Some(n.to_string()) } else { None }
}

/// Our client, their server.
async fn ask(client: &Client, number: usize, talk: &Talk) {
    let mut head = post(&format!("/{number}"));
    talk.fields.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    let (mut writer, mut answer) = client.request(&head, talk.request.length()).unwrap();
    let write = write_ours(&mut writer, &talk.request);
    let read = async {
        let mut head = ResponseHead::default();
        let mut body = answer.head(&mut head).await.unwrap().unwrap();
        assert_eq!((head.status, head.headers.text("x-number")), (talk.status, Some(&*number.to_string())));
        read_ours(&mut body, &talk.answer).await;
    };
    tokio::join!(write, read);
}

async fn their_server(stream: Stream, talks: Rc<Vec<Talk>>) {
    let mut connection = ::h2::server::Builder::new().initial_window_size(30_000).handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let talks = talks.clone();
        rt::spawn(async move {
            let (parts, mut recv) = request.into_parts();
            let number: usize = parts.uri.path()[1..].parse().unwrap();
            let talk = &talks[number];
            for (name, value) in &talk.fields {
                assert_eq!(parts.headers[name.as_str()].to_str().unwrap(), value);
            }
            let told = parts.headers.get("content-length").map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(told, told_length(&talk.request));
            read_theirs(&mut recv, &talk.request).await;
            let mut response = http::Response::builder().status(talk.status).header("x-number", number.to_string());
            if let Some(length) = told_length(&talk.answer) {
                response = response.header("content-length", length);
            }
            let ends = talk.answer.length() == Length::None;
            let mut send = respond.send_response(response.body(()).unwrap(), ends).unwrap();
            if !ends {
                write_theirs(&mut send, &talk.answer).await;
            }
        });
    }
}

/// Their client, our server.
async fn be_asked(client: ::h2::client::SendRequest<Bytes>, number: usize, talk: &Talk) {
    let mut request = http::Request::post(format!("http://a/{number}"));
    for (name, value) in &talk.fields {
        request = request.header(name, value);
    }
    if let Some(length) = told_length(&talk.request) {
        request = request.header("content-length", length);
    }
    let ends = talk.request.length() == Length::None;
    let (response, mut send) = client.ready().await.unwrap().send_request(request.body(()).unwrap(), ends).unwrap();
    let write = async {
        if !ends {
            write_theirs(&mut send, &talk.request).await;
        }
    };
    let read = async {
        let (parts, mut recv) = response.await.unwrap().into_parts();
        assert_eq!((parts.status.as_u16(), parts.headers["x-number"].to_str().unwrap()), (talk.status, &*number.to_string()));
        let told = parts.headers.get("content-length").map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(told, told_length(&talk.answer));
        read_theirs(&mut recv, &talk.answer).await;
    };
    tokio::join!(write, read);
}

async fn our_answer(exchange: Exchange, talks: Rc<Vec<Talk>>) {
    let Exchange { head, mut body, responder } = exchange;
    let number: usize = head.path()[1..].parse().unwrap();
    let talk = &talks[number];
    for (name, value) in &talk.fields {
        assert_eq!(head.headers.text(name), Some(&**value));
    }
    read_ours(&mut body, &talk.request).await;
    let mut answer = ResponseHead::with_status(talk.status);
    answer.headers.push("X-Number", number.to_string().as_bytes());
    let mut writer = responder.respond(&answer, talk.answer.length()).unwrap();
    write_ours(&mut writer, &talk.answer).await;
}

/// Many at once, so many that they share windows.
async fn all(talks: Vec<Talk>, capacity: usize) {
    let talks = Rc::new(talks);
    let (a, b) = Stream::pair(capacity);
    rt::spawn(their_server(b, talks.clone()));
    let client = Client::new(a, BytesMut::new()).await.unwrap();
    futures_util::future::join_all(talks.iter().enumerate().map(|(number, talk)| ask(&client, number, talk))).await;
    assert_eq!(client.active(), 0);
    let (a, b) = Stream::pair(capacity);
    let of_server = talks.clone();
    rt::spawn(async move {
        let server = Server::new(b, BytesMut::new(), Who::Stranger).await.unwrap();
        let _ = serve(server, std::future::pending(), move |exchange| our_answer(exchange, of_server.clone())).await;
    });
    let (send, connection) = ::h2::client::Builder::new().initial_window_size(30_000).handshake(a).await.unwrap();
    rt::spawn(async move { drop(connection.await) });
    futures_util::future::join_all(talks.iter().enumerate().map(|(number, talk)| be_asked(send.clone(), number, talk))).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_said_arrives(talks in prop::collection::vec(talk(), 1..20), capacity in prop_oneof![Just(100usize), Just(5000), Just(1 << 16)]) {
        run(async {
            rt::timeout(std::time::Duration::from_secs(3000), all(talks, capacity)).await.expect("nothing waits for ever");
        });
    }
}

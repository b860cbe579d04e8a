//! A connection alone, without a socket: what it says to bytes that are given to it.

use super::super::hpack;
use super::*;
use bytes::{Bytes, BytesMut};
use std::task::Poll;

fn now() -> Instant {
    Instant::now()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, kind, flags, stream, payload);
    out
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Frames of what is to be written, which then is: kind, flags, stream, payload.
fn said(connection: &mut Connection) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut slices = [std::io::IoSlice::new(&[]); super::super::output::SLICES];
    let mut bytes = Vec::new();
    while !connection.output.is_empty() {
        let count = connection.output.slices(&mut slices);
        let part: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        slices = [std::io::IoSlice::new(&[]); super::super::output::SLICES];
        connection.wrote(part.len());
        bytes.extend(part);
    }
    let mut bytes = bytes.strip_prefix(CLIENT_PREFACE).unwrap_or(&bytes);
    let mut frames = Vec::new();
    while let Some(header) = frame::Header::read(bytes) {
        let (payload, rest) = bytes[frame::HEADER..].split_at(header.length);
        frames.push((header.kind, header.flags, header.stream, payload.to_vec()));
        bytes = rest;
    }
    frames
}

fn receive(connection: &mut Connection, bytes: &[u8]) {
    connection.receive(&mut BytesMut::from(bytes), now());
}

/// Behind the greetings.
fn begun(facing: Facing, settings: &[u8]) -> Connection {
    let mut connection = Connection::new(facing, Who::Stranger, Bounds::default(), now());
    receive(&mut connection, &frame(kind::SETTINGS, 0, 0, settings));
    said(&mut connection);
    connection
}

/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

fn get(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, GET)
}

fn asked(connection: &mut Connection, stream: u32) -> Place {
    receive(connection, &get(stream));
    let place = connection.take_request().unwrap().0;
    connection.respond(place, &ResponseHead::with_status(200), crate::body::Length::Open).unwrap();
    place
}

fn request() -> RequestHead {
    let mut head = RequestHead::default();
    head.set_authority("a");
    head.set_target("/");
    head
}

/// Sends as much as there is room for, and says how much that was.
fn pour(connection: &mut Connection, place: Place, most: usize) -> usize {
    let mut poured = 0;
    while poured < most
        && let Poll::Ready(room) = connection.poll_room(place, most - poured, &cx())
    {
        let room = room.unwrap();
        connection.send(place, Bytes::from(vec![0; room]), false).unwrap();
        poured += room;
    }
    poured
}

#[test]
fn both_greet_with_settings_and_a_wider_window() {
    for facing in [Facing::Downstream, Facing::Upstream] {
        let frames = said(&mut Connection::new(facing, Who::Stranger, Bounds::default(), now()));
        assert_eq!(frames.iter().map(|f| f.0).collect::<Vec<_>>(), [kind::SETTINGS, kind::WINDOW_UPDATE]);
        assert_eq!(frames[1].3, (limits::H2_CONNECTION_WINDOW - 65_535).to_be_bytes());
    }
}

#[test]
fn a_trunk_greets_with_room_for_all_of_its_streams() {
    let frames = said(&mut Connection::new(Facing::Upstream, Who::Member, Bounds::trunk(), now()));
    let of_each = [&setting::INITIAL_WINDOW_SIZE.to_be_bytes()[..], &limits::TRUNK_STREAM_WINDOW.to_be_bytes()].concat();
    assert!(frames[0].3.chunks(6).any(|one| one == of_each));
    assert_eq!(frames[1].3, (3 * limits::TRUNK_STREAMS * limits::TRUNK_STREAM_WINDOW - 65_535).to_be_bytes());
}

#[test]
fn windows_of_stream_and_connection_bound_what_is_sent() {
    let mut connection = begun(Facing::Downstream, &[0, 4, 0, 0, 0x9c, 0x40]);
    let (first, second) = (asked(&mut connection, 1), asked(&mut connection, 3));
    assert_eq!(pour(&mut connection, first, 1 << 20), 40_000, "the stream's window");
    said(&mut connection);
    assert_eq!(pour(&mut connection, second, 1 << 20), 25_535, "what the connection's has left");
    said(&mut connection);
    receive(&mut connection, &frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0x03, 0xe8]));
    assert_eq!(pour(&mut connection, first, 1 << 20), 0);
    assert_eq!(pour(&mut connection, second, 1 << 20), 1000);
    // A smaller window of all streams goes below nothing, and must be filled up before anything is sent.
    receive(&mut connection, &frame(kind::WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]));
    receive(&mut connection, &frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    receive(&mut connection, &frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0x9c, 0x40]));
    assert_eq!(pour(&mut connection, first, 1 << 20), 0);
    receive(&mut connection, &frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 7]));
    assert_eq!(pour(&mut connection, first, 1 << 20), 7);
}

#[test]
fn streams_share_a_narrow_connection_evenly() {
    let mut connection = begun(Facing::Downstream, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let places: Vec<Place> = (0..5).map(|n| asked(&mut connection, 2 * n + 1)).collect();
    let mut sent = [0; 5];
    for _ in 0..40 {
        // Whoever is asked first takes all that he may; the others stand in line.
        for (place, sent) in places.iter().zip(&mut sent) {
            *sent += pour(&mut connection, *place, 1 << 20);
        }
        said(&mut connection);
        receive(&mut connection, &frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0x40, 0]));
    }
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    // The first met an empty connection, and the last round was not everybody's.
    assert!(most - least <= limits::H2_SEND_BUFFER + 2 * frame::MOST, "{sent:?}");
}

#[test]
fn so_much_is_held_of_bodies_for_a_peer_that_reads_slowly_and_no_more() {
    let mut connection = begun(Facing::Downstream, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    receive(&mut connection, &frame(kind::WINDOW_UPDATE, 0, 0, &[0x3f, 0, 0, 0]));
    let place = asked(&mut connection, 1);
    said(&mut connection);
    let held = pour(&mut connection, place, 1 << 20);
    assert!(held <= limits::H2_SEND_BUFFER && held > limits::H2_SEND_BUFFER - frame::MOST, "{held}");
}

#[test]
fn a_table_is_of_so_many_bytes_and_no_larger_one_can_be_asked_for() {
    for (update, fits) in [(&[0x3f, 0xe1, 0x1f][..], true), (&[0x3f, 0xe2, 0x1f], false)] {
        assert_eq!(limits::H2_TABLE_BYTES, 4096, "which the first one says");
        let mut connection = begun(Facing::Downstream, b"");
        receive(&mut connection, &frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &[update, GET].concat()));
        assert_eq!(connection.end().is_none(), fits, "{:?}", connection.end());
    }
}

#[test]
fn so_many_closed_streams_are_remembered_and_no_more() {
    for (forgotten, is_remembered) in [(1, true), (2, false)] {
        let mut connection = begun(Facing::Downstream, b"");
        for n in 0..limits::H2_CLOSED_STREAMS as u32 + forgotten - 1 {
            receive(&mut connection, &frame(kind::HEADERS, flag::END_HEADERS, 2 * n + 1, GET));
            let place = connection.take_request().unwrap().0;
            connection.release(place);
            said(&mut connection);
        }
        receive(&mut connection, &frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &[0, 1, b'x', 1, b'y']));
        assert_eq!(connection.end().is_none(), is_remembered, "{:?}", connection.end());
    }
}

#[test]
fn a_window_is_given_back_in_large_pieces_and_only_for_what_was_read() {
    let mut connection = begun(Facing::Downstream, b"");
    receive(&mut connection, &frame(kind::HEADERS, flag::END_HEADERS, 1, &[&[0x83], &GET[1..]].concat()));
    let place = connection.take_request().unwrap().0;
    for _ in 0..4 {
        receive(&mut connection, &frame(kind::DATA, 0, 1, &[0; 16_000]));
    }
    assert_eq!(said(&mut connection), [], "nothing was read");
    let mut read = 0;
    while let Poll::Ready(Ok(Some(piece))) = connection.poll_piece(place, &cx()) {
        read += piece.len();
    }
    assert_eq!(read, 64_000);
    assert_eq!(said(&mut connection), [(kind::WINDOW_UPDATE, 0, 1, 48_000u32.to_be_bytes().to_vec())]);
    // More than the window.
    for _ in 0..4 {
        receive(&mut connection, &frame(kind::DATA, 0, 1, &[0; 16_000]));
    }
    assert_eq!(said(&mut connection), [(kind::RST_STREAM, 0, 1, code::FLOW_CONTROL_ERROR.to_be_bytes().to_vec())]);
}

#[test]
fn crumbs_are_put_together() {
    let mut connection = begun(Facing::Downstream, b"");
    receive(&mut connection, &frame(kind::HEADERS, flag::END_HEADERS, 1, &[&[0x83], &GET[1..]].concat()));
    let place = connection.take_request().unwrap().0;
    for n in 0..3000u32 {
        receive(&mut connection, &frame(kind::DATA, 0, 1, &[n as u8]));
    }
    assert!(connection.streams.get(place).pieces.len() <= 3);
    let mut all = Vec::new();
    while let Poll::Ready(Ok(Some(piece))) = connection.poll_piece(place, &cx()) {
        all.extend_from_slice(&piece);
    }
    assert!(all.len() == 3000 && all.iter().enumerate().all(|(n, byte)| n as u8 == *byte));
}

#[test]
fn what_was_not_read_goes_back_to_the_connection_with_its_stream() {
    let mut connection = begun(Facing::Downstream, b"");
    for stream in (1..200).step_by(2) {
        receive(&mut connection, &frame(kind::HEADERS, flag::END_HEADERS, stream, &[&[0x83], &GET[1..]].concat()));
        let place = connection.take_request().unwrap().0;
        receive(&mut connection, &frame(kind::DATA, 0, stream, &[0; 16_000]));
        receive(&mut connection, &frame(kind::DATA, flag::PADDED, stream, &[&[99][..], &[0; 16_000]].concat()));
        if stream % 4 == 1 {
            receive(&mut connection, &frame(kind::RST_STREAM, 0, stream, &[0; 4]));
        }
        connection.release(place);
        // What comes when it is gone does no harm, and takes no window.
        receive(&mut connection, &frame(kind::DATA, 0, stream.saturating_sub(20).max(1), b""));
    }
    assert_eq!(connection.end(), None, "the connection's window held for 3 MB");
    assert_eq!(connection.streams.held(), 0);
}

#[test]
fn heads_longer_than_a_frame_are_continued() {
    let mut connection = begun(Facing::Upstream, b"");
    let mut head = request();
    head.headers.push("x-long", &[b'x'; 40_000]);
    connection.ask(&head, crate::body::Length::None).unwrap();
    let frames = said(&mut connection);
    let shape: Vec<_> = frames.iter().map(|f| (f.0, f.1, f.2, f.3.len() <= frame::MOST)).collect();
    assert_eq!(
        shape,
        [(kind::HEADERS, flag::END_STREAM, 1, true), (kind::CONTINUATION, 0, 1, true), (kind::CONTINUATION, flag::END_HEADERS, 1, true)]
    );
    let (mut server, mut fields) = (hpack::Decoder::new(4096), 0);
    server.decode(&frames.iter().flat_map(|f| f.3.clone()).collect::<Vec<_>>(), |_, _| fields += 1).unwrap();
    assert_eq!(fields, 5);
}

#[test]
fn a_drain_takes_what_is_on_its_way_and_then_nothing() {
    let mut connection = begun(Facing::Downstream, b"");
    let first = asked(&mut connection, 1);
    said(&mut connection);
    connection.drain();
    let frames = said(&mut connection);
    assert_eq!((frames[0].0, &frames[0].3[..4]), (kind::GOAWAY, &[0x7f, 0xff, 0xff, 0xff][..]));
    let second = asked(&mut connection, 3);
    receive(&mut connection, &frame(kind::PING, flag::ACK, 0, &frames[1].3));
    let last = said(&mut connection).pop().unwrap();
    assert_eq!((last.0, &last.3[..4]), (kind::GOAWAY, &[0, 0, 0, 3][..]));
    receive(&mut connection, &get(5));
    assert!(!connection.has_requests() && connection.end().is_none() && said(&mut connection).is_empty());
    connection.release(first);
    assert!(!connection.is_over());
    connection.release(second);
    assert!(connection.is_over());
}

#[test]
fn requests_that_a_server_did_not_begin_are_told_as_that() {
    let mut connection = begun(Facing::Upstream, b"");
    let places: Vec<Place> = (0..3).map(|_| connection.ask(&request(), crate::body::Length::None).unwrap()).collect();
    receive(&mut connection, &frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]));
    let mut head = ResponseHead::default();
    assert!(connection.poll_answer(places[1], &mut head, &cx()).is_pending());
    let Poll::Ready(Err(error)) = connection.poll_answer(places[2], &mut head, &cx()) else { panic!("not told") };
    assert!(error.is_unprocessed());
    connection.lost(End::Closed);
    let Poll::Ready(Err(error)) = connection.poll_answer(places[1], &mut head, &cx()) else { panic!("not told") };
    assert!(!error.is_unprocessed());
    // A later goodbye may take back, not grant.
    let mut connection = begun(Facing::Upstream, b"");
    receive(&mut connection, &frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]));
    receive(&mut connection, &frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]));
    assert!(matches!(connection.end(), Some(End::Broken(code::PROTOCOL_ERROR, _))));
}

#[test]
fn a_peer_that_takes_nothing_is_not_listened_to() {
    let mut connection = begun(Facing::Downstream, b"");
    connection.watch = Watch::new(Who::Member, now());
    let pings = frame(kind::PING, 0, 0, &[0; 8]).repeat(1000);
    while connection.listens() {
        assert!(connection.output.len() <= limits::H2_UNSENT + pings.len());
        connection.watch = Watch::new(Who::Member, now());
        receive(&mut connection, &pings);
        assert_eq!(connection.end(), None);
    }
    said(&mut connection);
    assert!(connection.listens());
}

#[test]
fn late_frames_of_what_we_reset_are_passed_over_and_others_are_not() {
    // A stream that we reset: its trailers, its data, its reset, its windows.
    let mut connection = begun(Facing::Downstream, b"");
    receive(&mut connection, &frame(kind::HEADERS, flag::END_HEADERS, 1, GET));
    let place = connection.take_request().unwrap().0;
    connection.release(place);
    said(&mut connection);
    for late in [
        frame(kind::DATA, 0, 1, b"late"),
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &[0, 1, b'x', 1, b'y']),
        frame(kind::RST_STREAM, 0, 1, &[0; 4]),
    ] {
        receive(&mut connection, &late);
        assert_eq!((said(&mut connection), connection.end()), (vec![], None));
    }
    // One that both had ended.
    receive(&mut connection, &get(3));
    let place = connection.take_request().unwrap().0;
    connection.respond(place, &ResponseHead::with_status(200), crate::body::Length::None).unwrap();
    connection.release(place);
    said(&mut connection);
    receive(&mut connection, &frame(kind::DATA, 0, 3, b"more"));
    assert_eq!(said(&mut connection), [(kind::RST_STREAM, 0, 3, code::STREAM_CLOSED.to_be_bytes().to_vec())]);
    receive(&mut connection, &get(5));
    let place = connection.take_request().unwrap().0;
    connection.respond(place, &ResponseHead::with_status(200), crate::body::Length::None).unwrap();
    receive(&mut connection, &get(5));
    assert!(matches!(connection.end(), Some(End::Broken(code::STREAM_CLOSED, _))));
}

#[test]
fn an_answer_says_how_long_it_is_and_is_held_to_it() {
    let answer = |length: &str, more: &[Vec<u8>], method: model::Method, status: u8| {
        let mut connection = begun(Facing::Upstream, b"");
        let mut head = request();
        head.method = method;
        let place = connection.ask(&head, crate::body::Length::None).unwrap();
        let block = [&[0x80 | status, 0x0f, 13, length.len() as u8][..], length.as_bytes()].concat();
        let ends = if more.is_empty() { flag::END_STREAM } else { 0 };
        receive(&mut connection, &[frame(kind::HEADERS, ends | flag::END_HEADERS, 1, &block), more.concat()].concat());
        assert_eq!(connection.end(), None);
        (connection.streams.get(place).over, connection.incoming(place))
    };
    use crate::body::Length;
    use model::Method;
    let broken = |over: Option<Over>| matches!(over, Some(Over::Broken(code::PROTOCOL_ERROR, _)));
    let data = |size: usize, end: bool| frame(kind::DATA, u8::from(end), 1, &vec![0; size]);
    assert_eq!(answer("5", &[data(2, false), data(3, true)], Method::Get, 8), (None, Length::Known(5)));
    assert!(broken(answer("5", &[data(4, true)], Method::Get, 8).0));
    assert!(broken(answer("5", &[data(6, false)], Method::Get, 8).0));
    assert!(broken(answer("5", &[], Method::Get, 8).0));
    assert!(broken(answer("+5", &[], Method::Get, 8).0));
    assert!(broken(answer("5", &[frame(kind::HEADERS, 5, 1, &[0, 1, b'x', 1, b'y'])], Method::Get, 8).0));
    // What a body would have is no promise where there can be none.
    assert_eq!(answer("5", &[], Method::Head, 8), (None, Length::None));
    assert_eq!(answer("5", &[], Method::Get, 11), (None, Length::None));
    assert!(broken(answer("5", &[data(5, true)], Method::Head, 8).0));
}

#[test]
fn so_many_interim_answers_come_before_the_final_one_and_no_more() {
    let mut connection = begun(Facing::Upstream, b"");
    let place = connection.ask(&request(), crate::body::Length::None).unwrap();
    // `:status: 103`, not indexed.
    let interim = frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x08, 3, b'1', b'0', b'3']);
    receive(&mut connection, &interim.repeat(limits::INFORMATIONAL));
    assert_eq!(connection.streams.get(place).over, None);
    receive(&mut connection, &interim);
    assert!(matches!(connection.streams.get(place).over, Some(Over::Broken(code::PROTOCOL_ERROR, _))));
    assert_eq!(connection.end(), None, "others go on");
}

#[test]
fn an_idle_connection_keeps_the_memory_of_a_few_streams() {
    let mut streams = super::super::streams::Streams::new(limits::H2_STREAM_WINDOW);
    let places: Vec<Place> = (0..100).map(|i| streams.begin(2 * i + 1, Window::new(0))).collect();
    streams.shrink();
    assert_eq!(streams.memory(), 100, "they are somebody's");
    places.into_iter().for_each(|place| streams.close(place, Closed::ByPeer));
    streams.shrink();
    assert_eq!((streams.memory(), streams.held()), (limits::H2_KEPT_PLACES, 0));
}

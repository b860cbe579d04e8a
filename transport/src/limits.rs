//! Limits of connections and messages, by name. Time limits guard against peers that are slow on purpose.

use std::time::Duration;

/// Largest head of a message; longer ones get 431.
pub const HEAD_BYTES: usize = model::limits::HEAD_BYTES;
/// Header fields of one message.
pub const HEADERS: usize = model::limits::HEADERS;
/// Longest chunk-size line, extensions included (which are dropped).
pub const CHUNK_LINE_BYTES: usize = 256;
/// All chunk extensions of one body: they carry nothing for anyone, and cost like data (CVE-2023-39326).
pub const CHUNK_EXTENSION_BYTES: usize = 16 * 1024;
/// Largest trailer section.
pub const TRAILER_BYTES: usize = 8 * 1024;
/// Pieces of memory that a thread's io_uring receives into, for all of its connections.
pub const RING_PIECES: u16 = 64;
/// Bytes of each.
pub const RING_PIECE: usize = 16 * 1024;
/// First allocation for what is read from a connection, and the most that is read at once.
pub const READ_BUFFER: usize = 8 * 1024;
/// Larger read buffer once a body is streaming: as much as four frames of HTTP/2 carry in four full records of TLS.
pub const BODY_BUFFER: usize = 4 * (16 * 1024 - 9);
/// From the first byte of a head to its last.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Between two requests of a kept-alive connection. Longer than [`POOL_IDLE`], so that between two Organza proxies it is the sender who
/// closes, and no request meets a closing connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Between two pieces of a request's body, and for a receiver to take something.
pub const BODY_IDLE: Duration = Duration::from_secs(60);
/// Between two pieces of an answer's body: events and long polls are silent for long. TCP notices a server that is gone.
pub const ANSWER_IDLE: Duration = Duration::from_secs(3600);
/// Between two pieces of an opaque connection, or of what an upgrade opened, in either direction.
pub const TUNNEL_IDLE: Duration = Duration::from_secs(3600);
/// A caller of HTTP/1 that has closed its side is answered for this long: it may have closed one half only.
pub const HALF_CLOSED: Duration = Duration::from_secs(10);
/// A server that takes no more of a request has so long to say why.
pub const EARLY_ANSWER: Duration = Duration::from_secs(2);
/// The kernel asks a silent peer after this long whether it is there,
pub const TCP_KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// again after this long,
pub const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// and gives it up after so many questions.
pub const TCP_KEEPALIVE_PROBES: u32 = 6;
/// A server that answers nothing for this long is asked by the kernel whether it is there; its machine is gone where that acknowledges nothing for as long, which
/// ends a connection of HTTP/1 that carries what has no effect.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(2);
/// For so long it is waited for where the connection carries what may have one, or many requests: nobody else may answer those.
pub const UNACKNOWLEDGED_EFFECT: Duration = Duration::from_secs(5);
/// For so long after a machine acknowledged nothing, others are asked before it; and of so many machines at most that is known.
pub const UNACKNOWLEDGED_KNOWN: Duration = Duration::from_secs(10);
pub const UNACKNOWLEDGED_MACHINES: usize = 64;
/// How often it is asked then.
pub const UNACKNOWLEDGED_PROBE: Duration = Duration::from_secs(1);
/// How long it is not looked after at most where it answers.
pub const UNACKNOWLEDGED_LOOK: Duration = Duration::from_secs(16);
/// A proxy of the mesh that says nothing while it is waited for is asked by HTTP/2 whether it is there, first after [`UNACKNOWLEDGED`] and again after each time
/// of this length: it answers that itself, however long its application thinks.
pub const PROXY_ANSWER: Duration = Duration::from_secs(4);
/// After so many questions one after another that nothing followed, it stands still, which ends the connection.
pub const PROXY_QUESTIONS: u32 = 3;
/// To open a TCP connection.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// To finish a TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// An unused upstream connection is kept this long.
pub const POOL_IDLE: Duration = Duration::from_secs(50);
/// Unused connections kept per destination and worker.
pub const POOL_KEPT: usize = 256;
/// A pooled connection is not used again after this age.
pub const POOL_LIFE: Duration = Duration::from_secs(3600);
/// Messages that wait to go out together of which the list is kept for the next time; more may wait, one for each connection.
pub const LETTERS: usize = 1024;
/// Answers of class 1xx before the final one.
pub const INFORMATIONAL: usize = 16;
/// Pending connections of a listening socket.
pub const BACKLOG: i32 = 1024;
/// Longest message of an `organza/1` preface.
pub const PREFACE_BYTES: usize = 4 * 1024;
/// Streams that a peer may have open at once on one HTTP/2 connection, and that we open on one before another is dialled.
pub const H2_STREAMS: u32 = 256;
/// What a peer may send on one stream before it is read.
pub const H2_STREAM_WINDOW: u32 = 64 * 1024;
/// What a peer may send on all streams of a connection before it is read.
pub const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Connections of HTTP/1 and of unread bytes that share one of mutual TLS, before another is dialled: so few that callers spread over the workers of who is called.
pub const TRUNK_STREAMS: u32 = 32;
/// What a peer may send on one of them before it is read.
pub const TRUNK_STREAM_WINDOW: u32 = 256 * 1024;
/// What we hold of bodies on one connection for a peer that reads slowly.
pub const H2_SEND_BUFFER: usize = 64 * 1024;
/// A peer that leaves so much unread, heads and answers to its frames included, is not listened to meanwhile.
pub const H2_UNSENT: usize = 1024 * 1024;
/// HPACK's table, of each direction.
pub const H2_TABLE_BYTES: usize = 4096;
/// Closed streams that are remembered, so that late frames do no harm to those that we reset, and what may not follow is told as that.
pub const H2_CLOSED_STREAMS: usize = 128;
/// Places of streams whose memory an idle connection keeps.
pub const H2_KEPT_PLACES: usize = 8;
/// Streams that we reset for errors of the peer (CVE-2025-8671).
pub const H2_ERROR_RESETS: FrameBudget = FrameBudget { burst: 128, per_second: 10, per_head: 0, bytes_each: 0 };
/// CONTINUATION frames behind one HEADERS frame; more end the connection (CVE-2024-27316). A head of [`HEAD_BYTES`] has four at most.
pub const H2_CONTINUATIONS: usize = 5;
/// PING frames that a stranger may send: health checks and measures of bandwidth (CVE-2019-9512).
pub const H2_PING: FrameBudget = FrameBudget { burst: 100, per_second: 10, per_head: 1, bytes_each: 64 };
/// SETTINGS frames (CVE-2019-9515).
pub const H2_SETTINGS: FrameBudget = FrameBudget { burst: 50, per_second: 5, per_head: 0, bytes_each: 0 };
/// DATA frames with nothing in them that end nothing (CVE-2019-9518).
pub const H2_EMPTY_DATA: FrameBudget = FrameBudget { burst: 100, per_second: 10, per_head: 2, bytes_each: 0 };
/// WINDOW_UPDATE frames: two for each DATA frame that was sent are usual.
pub const H2_WINDOW_UPDATE: FrameBudget = FrameBudget { burst: 1000, per_second: 100, per_head: 4, bytes_each: 16 };
/// PRIORITY frames, and PRIORITY_UPDATE of RFC 9218 (CVE-2019-9513).
pub const H2_PRIORITY: FrameBudget = FrameBudget { burst: 200, per_second: 10, per_head: 4, bytes_each: 0 };
/// RST_STREAM frames (CVE-2023-44487): each request that is given up costs its backend one.
pub const H2_RESET: FrameBudget = FrameBudget { burst: 200, per_second: 100, per_head: 0, bytes_each: 0 };
/// Frames of unknown kinds, and GOAWAY.
pub const H2_UNKNOWN: FrameBudget = FrameBudget { burst: 100, per_second: 10, per_head: 0, bytes_each: 0 };
/// Members of the mesh and upstreams have so many times these budgets: one connection of theirs carries what many callers do.
pub const H2_MEMBER_FACTOR: u32 = 100;
/// For the last word to a peer whose connection is ended.
pub const H2_GOODBYE: Duration = Duration::from_secs(1);
/// Heads of each kind whose memory a thread keeps for the next messages.
pub const SPARE_HEADS: usize = 64;
/// Buffers for what is read, and as many for what is written, that a thread keeps while no message uses them.
pub const SPARE_BUFFERS: usize = 64;
/// HBONE connections per destination and worker.
pub const HBONE_CONNECTIONS: usize = 16;
/// Longest `baggage` that is read.
pub const BAGGAGE_BYTES: usize = 4 * 1024;
/// To say the preface.
pub const PREFACE_TIME: Duration = Duration::from_secs(10);
/// Longest header of the PROXY protocol; one with a client certificate's names among its extensions has a few hundred bytes.
pub const PROXY_HEADER_BYTES: usize = 4 * 1024;
/// Longest ClientHello that is read for its server name. Those with keys for post-quantum exchange have about 2 KiB.
pub const CLIENT_HELLO_BYTES: usize = 16 * 1024;
/// How long a caller may keep silent on a port of which nobody said what is spoken there, before upstream is dialled to hear whether it greets.
pub const SPEAK_FIRST: Duration = Duration::from_millis(10);
/// A caller that has begun to speak is given this long until its protocol can be told; then it is carried unread.
pub const SNIFF_TIME: Duration = Duration::from_secs(1);
/// The most that is looked at to tell a caller's protocol.
pub const SNIFF_BYTES: usize = CLIENT_HELLO_BYTES;
/// How long it is believed that the server speaks first on a port, and of how many ports.
pub const SERVER_FIRST_TIME: Duration = Duration::from_secs(600);
pub const SERVER_FIRST_PORTS: usize = 1024;
/// What the kernel keeps of datagrams that came to one socket and were not read yet; more are dropped by it. It may give less.
pub const DATAGRAM_QUEUE: usize = 1024 * 1024;
/// Largest message that a process says to its successor.
pub const HANDOVER_BYTES: usize = 1024 * 1024;
/// Descriptors in one such message.
pub const DESCRIPTORS: usize = 4096;
/// Descriptors that one control message carries; the kernel takes up to 253.
pub const DESCRIPTORS_AT_ONCE: usize = 128;

/// How many frames of a kind a peer may send on one HTTP/2 connection that carry nothing; more end it with ENHANCE_YOUR_CALM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameBudget {
    /// At once.
    pub burst: u32,
    /// Earned each second,
    pub per_second: u32,
    /// with each head that the peer sends,
    pub per_head: u32,
    /// and with so many bytes each that are sent to it; 0 for none.
    pub bytes_each: u32,
}

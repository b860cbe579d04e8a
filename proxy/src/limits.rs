//! Limits of a proxy, by name: first those of the rim, then those of the request path. Those of connections stand with `transport`.

use std::time::Duration;

/// Largest snapshot file that is read.
pub const SNAPSHOT_BYTES: u64 = 512 * 1024 * 1024;
/// Largest configuration file.
pub const CONFIG_BYTES: u64 = 1024 * 1024;
/// How long a request waits for a name that was never used before.
pub const RESOLVE: Duration = Duration::from_secs(3);
/// A service that was not called for so long is forgotten, where the control plane is there to be asked again ...
pub const NAME_IDLE: Duration = Duration::from_secs(3600);
/// ... and a name that means nothing after so long.
pub const NAME_OF_NOTHING: Duration = Duration::from_secs(600);
/// How often that is looked at.
pub const NAME_SWEEP: Duration = Duration::from_secs(60);
/// Names known at once; beyond it new ones are refused.
pub const NAMES: usize = 2048;
/// Questions waiting for the rim.
pub const QUESTIONS: usize = 1024;
/// First and longest pause between attempts to reach the control plane.
pub const RECONNECT_MIN: Duration = Duration::from_millis(100);
pub const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// TCP and TLS towards the control plane.
pub const CONNECT: Duration = Duration::from_secs(5);
/// One answer of the control plane (signing, telemetry).
pub const ANSWER: Duration = Duration::from_secs(10);
/// A proxy that ends waits so long until its last report is taken.
pub const LAST_WORD: Duration = Duration::from_secs(2);
/// How often edges are reported.
pub const REPORT: Duration = Duration::from_secs(1);
/// How long a successor may take until it is ready ...
pub const SUCCESSOR_READY: Duration = Duration::from_secs(60);
/// ... and for each other word of a handover: nobody accepts meanwhile.
pub const HANDOVER_WORD: Duration = Duration::from_secs(5);
/// Connections live on for so long in a process that has a successor, unless the configuration says otherwise.
pub const LINGER: Duration = Duration::from_secs(3600);
/// How long a drain may take unless the configuration says otherwise.
pub const DRAIN: Duration = Duration::from_secs(30);

/// A request body that is kept for another try is at most this long.
pub const REPLAY_BYTES: u64 = 64 * 1024;
/// Who is answered before the request has ended may send the rest for so long, and then ask again. Where no more can be asked the rest is read and dropped
/// for so long, so that the answer is not lost in a reset.
pub const EARLY_ANSWER_TIME: Duration = Duration::from_secs(2);
/// Answers of the resolver for hosts outside the mesh are believed this long.
pub const DNS_TIME: Duration = Duration::from_secs(30);
/// Names of hosts outside the mesh remembered per worker.
pub const DNS_NAMES: usize = 1024;
/// Open connections of one listener, over all workers; further ones wait in the kernel's queue.
pub const CONNECTIONS: usize = 16_384;
/// TLS handshakes under way at one listener; further connections wait in the kernel's queue.
pub const HANDSHAKES: usize = 1024;
/// Clients of one port for datagrams that are led to an endpoint, over all workers; datagrams of further ones are dropped.
pub const SESSIONS: usize = 16_384;
/// A client of datagrams is led to the same endpoint until nothing came either way for so long ...
pub const SESSION_IDLE: Duration = Duration::from_secs(60);
/// ... and after one datagram and one answer, as names are asked for, only for so long: most such clients never come again.
pub const SESSION_ANSWERED: Duration = Duration::from_secs(5);
/// In a proxy that ends, a session is over when nothing came either way for so long.
pub const SESSION_QUIET: Duration = Duration::from_secs(1);
/// Longest datagram: what IPv4 can carry.
pub const DATAGRAM_BYTES: usize = 65_507;
/// Longest datagram that is kept until its endpoint has answered once: where nobody listens there, it goes to another.
pub const DATAGRAM_KEPT: usize = 1500;
/// Datagrams that are read of one socket before others have their turn.
pub const DATAGRAMS_AT_ONCE: usize = 32;
/// Sessions in one message to a successor.
pub const SESSIONS_AT_ONCE: usize = 128;
/// How often a worker counts its tasks and unused connections.
pub const COUNT: Duration = Duration::from_secs(1);
/// Lines of the access log waiting to be written; what comes over is counted and dropped.
pub const LOG_LINES: usize = 8192;
/// A file of such lines that cannot be written is tried again after this.
pub const LOG_FILE_AGAIN: Duration = Duration::from_secs(1);
/// TLS client configurations kept per worker, one per kind of TLS and set of expected identities.
pub const TLS_CONFIGS: usize = 4096;
/// Connections towards members with which those that have ended are first looked for; later with twice as many as were open then.
pub const MEMBERS_LOOKED_AT: usize = 64;
/// Longest request identifier that is taken over from a caller, in bytes.
pub const REQUEST_ID_BYTES: usize = 128;
/// A mirrored copy is given up after this time.
pub const MIRROR_TIME: Duration = Duration::from_secs(30);
/// Names of peers and services that a worker keeps ready for records.
pub const LABELS: usize = 4096;
/// How often a proxy that ends looks whether all that was under way is over.
pub const LOOK: Duration = Duration::from_millis(20);
/// How often the rim looks for what nobody tells it: whether its certificate was renewed, with nothing to check whether something is.
pub const RIM_LOOK: Duration = Duration::from_secs(1);
/// A gateway acknowledges listeners when their ports are open, or after so long.
pub const OPENING: Duration = Duration::from_secs(2);
/// A draining proxy still takes new requests for this long: peers learn of its leaving meanwhile.
pub const DRAIN_GRACE: Duration = Duration::from_millis(300);
/// ... and those on whose connections nothing came meanwhile are told within this that none is taken any more.
pub const DRAIN_GOODBYE: Duration = Duration::from_millis(100);
/// Ports tried above a preferred one.
pub const PORTS_TRIED: u16 = 64;
/// HTTP/2 connections to one destination per worker; beyond it each serves one request.
pub const H2_CONNECTIONS: usize = 16;
/// For how long nobody waits for another's handshake towards a proxy that knew no trunks.
pub const WITHOUT_TRUNKS: Duration = Duration::from_secs(60);
/// Futures that serve requests which a thread keeps while nobody needs them.
pub const SPARE_CLERKS: usize = 64;
/// An opaque connection that carried so many bytes says that those to the same port do better with sessions of their own.
pub const BULK: u64 = 16 * 1024 * 1024;
/// For how long that is believed.
pub const BULK_KNOWN: Duration = Duration::from_secs(3600);
/// An HTTP/2 connection of a service that has as many as it may gives way to others that wait after this time; what is on it ends as it would.
pub const H2_TURN: Duration = Duration::from_millis(100);
/// Ejected endpoints that one report tells of.
pub const EJECTIONS_TOLD: usize = 1000;
/// Health checks that ended and that one report tells of; the rest waits for the next.
pub const CHECKS_TOLD: usize = 1000;
/// How long a request waits for its place where a service has as many under way as it may.
pub const PENDING_TIME: Duration = Duration::from_secs(10);
/// A proxy beside an application gives a request so much longer than its caller waits, so that it is the caller's proxy that says whose time was over.
pub const DEADLINE_GRACE: Duration = Duration::from_millis(50);
/// Health checks under way at once; further ones wait until one has ended.
pub const CHECKS_AT_ONCE: usize = 64;
/// What is read of the answer to a health check.
pub const CHECK_BYTES: usize = 4096;
/// How often it is looked whether services came or went that are to be checked.
pub const CHECK_LOOK: Duration = Duration::from_millis(100);
/// Pairs of texts that one worker keeps ready for records, and what one of them keeps of its memory.
pub const KEPT_WORDS: usize = 64;
pub const KEPT_WORD_BYTES: usize = 1024;
/// Single requests that one report tells ...
pub const FLOWS: usize = 1024;
/// ... and of them those that are told because they failed.
pub const FAILURE_FLOWS: usize = 32;
/// ... and of them those that are spans of a trace.
pub const SPAN_FLOWS: usize = 256;
/// Of them as many are told at a time, or more where there would be more parts than so many.
pub const FLOWS_PART: usize = 16;
pub const FLOWS_PARTS: usize = 4;
/// What chores do in parts they do with a rest between them.
pub const REST: Duration = Duration::from_millis(1);
/// So many lines are put into other words without a rest, or more where there would be more rests than so many.
pub const LINES_PART: usize = 4;
pub const LINES_PARTS: usize = 12;
/// Taps that are looked at.
pub const TAPS: usize = 16;
/// A tap of which the control plane says nothing any more ends after so long.
pub const TAP_HOLDS: Duration = Duration::from_secs(10);
/// A proxy with nothing to report says so this often.
pub const REPORT_IDLE: Duration = Duration::from_secs(2);
/// Tokens that one worker believed and remembers; the next one makes it forget all.
pub const TOKENS_KNOWN: usize = 1024;
/// Sets of consumer, API and kind of answer that one worker counts apart; further ones are counted as `other`.
pub const CONSUMED: usize = 4096;
/// Claims of one token that are read.
pub const CLAIMS: usize = 256;
/// Claims within claims are read to this depth.
pub const CLAIM_DEPTH: usize = 4;
/// Longest claim that an application is told in a header, in bytes.
pub const CLAIM_HEADER_BYTES: usize = 4096;
/// A request whose token is of a key that is not known waits for newer keys so long.
pub const KEYS_WAIT: Duration = Duration::from_secs(2);
/// For the keys of an issuer to be fetched.
pub const KEYS_TIME: Duration = Duration::from_secs(5);
/// Keys are fetched again after so long.
pub const KEYS_REFRESH: Duration = Duration::from_secs(300);
/// Not sooner, though tokens come whose key is not known.
pub const KEYS_AGAIN: Duration = Duration::from_secs(10);
/// First pause after keys could not be fetched; it doubles.
pub const KEYS_RETRY: Duration = Duration::from_millis(500);
/// Longest pause after keys could not be fetched.
pub const KEYS_RETRY_MAX: Duration = Duration::from_secs(60);
/// Whoever fetches looks so often whether there are issuers that it does not know.
pub const KEYS_LOOK: Duration = Duration::from_secs(1);
/// And no sooner, however many ask.
pub const KEYS_PAUSE: Duration = Duration::from_millis(50);
/// Spans and lines that wait for a collector, of each kind.
pub const OTLP_LINES: usize = 4096;
/// Of one request to a collector.
pub const OTLP_BATCH: usize = 512;
/// A collector has so long to take one.
pub const OTLP_TIME: Duration = Duration::from_secs(5);
/// How often what waits is sent.
pub const OTLP_PAUSE: Duration = Duration::from_secs(1);
/// What is read of a collector's answer, in bytes.
pub const OTLP_ANSWER: usize = 64 * 1024;

/// Bodies of requests that authorizers are told, all that a proxy holds at once, in bytes.
pub const BODIES_HELD: usize = 64 * 1024 * 1024;
/// Longest answer of an authorizer outside, in bytes: its body is the caller's, or is the message that says what it decided.
pub const AUTHORIZER_BYTES: usize = 64 * 1024;
/// What of an authorizer's page is told callers by gRPC, whose heads have little room.
pub const GRPC_MESSAGE_BYTES: usize = 1024;
/// How deep questions of authorizers about questions of authorizers may be: those that guard each other would never come to an answer.
pub const ASKED_DEEP: u8 = 3;

/// Who asks the admin socket or for metrics has so long to say what it wants, and between two questions: longer than scrapers pause.
pub const ADMIN_HEAD: Duration = Duration::from_secs(150);
/// Connections of scrapers at once; further ones wait.
pub const METRICS_CONNECTIONS: usize = 32;

//! Limits of the control plane, by name.

use std::time::Duration;

/// Registered processes of one mesh.
pub const REGISTRATIONS: usize = 10_000;
/// Certificates that are believed no more and have not ended: each proxy holds all of them.
pub const REVOKED: usize = 4096;
/// Certificates of one process that have not ended; as many that ended last are remembered beside them.
pub const CERTIFICATES: usize = 16;
/// Names of processes of other machines that left and whose certificates have not ended: those may still be revoked.
pub const LEFT: usize = 4096;
/// Processes that were taken out and may still tell what they carried to the end.
pub const DEPARTED: usize = 1024;
/// Labels of one workload.
pub const LABELS: usize = 64;
/// Body of one API request, in bytes.
pub const API_BODY: usize = 1024 * 1024;
/// Body of a question what a configuration would change, in bytes.
pub const DIFF_BODY: usize = 32 * 1024 * 1024;
/// Events that a slow reader may lag behind.
pub const EVENTS: usize = 1024;
/// A Gateway's proxy that came just now has so many seconds to have all of it before that it has not is told in statuses.
pub const JOINING: u64 = 10;
/// Releases of one Gateway's proxies, told apart by which kinds they do not know, for which what they hold is kept ready.
pub const RELEASES: usize = 4;
/// Responses under way to one proxy.
pub const RESPONSES: usize = 16;
/// A proxy's stream may be gone this long before nobody is sent to it any more.
pub const GONE: Duration = Duration::from_secs(5);
/// After a start, proxies are given this long to come back before any is withdrawn; so is one that registered, to connect.
/// In a cluster, to come to another leader before statuses say that none has what they told of.
pub const RETURN: Duration = Duration::from_secs(60);
/// A question before all objects of a cluster are listed waits so long; commands wait a little longer for its answer.
pub const WORLD: Duration = Duration::from_secs(8);
/// How far clocks may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// How often certificates and a rotation of the root are looked at.
pub const RENEW_LOOK: Duration = Duration::from_secs(1);
/// How often files are looked at.
pub const FILES_LOOK: Duration = Duration::from_millis(100);
/// How long a file must not change before it is read; pause after a connection that could not be taken.
pub const LOOK: Duration = Duration::from_millis(20);
/// Edges of the service graph; of as many it is kept for the last seconds what the other end tells.
pub const EDGES: usize = 5_000;
/// Ways in which reports name edges that are remembered, so that none is taken apart twice ...
pub const EDGES_NAMED: usize = 4 * EDGES;
/// ... and the longest of them, in bytes; an edge with longer names is left out.
pub const EDGE_NAMES: usize = 4 * 1024;
/// Names that are kept for one connection, in bytes: as many edges as have numbers, called as long as Kubernetes allows.
pub const NAMED_BYTES: usize = 1024 * 1024;
/// Edges as each process told them, of all of them ...
pub const WORKLOAD_EDGES: usize = 50_000;
/// ... and of one ...
pub const WORKLOAD_EDGES_OF_ONE: usize = 1_000;
/// ... which are kept in so many slots ...
pub const WORKLOAD_SLOTS: usize = 4;
/// ... of so many seconds.
pub const WORKLOAD_SLOT_SECONDS: u64 = 30;
/// The last hour of an edge is kept in so many slots ...
pub const SLOTS: usize = 360;
/// ... of so many seconds.
pub const SLOT_SECONDS: u64 = 10;
/// Calls seen are remembered for so many days ...
pub const CALL_DAYS: u64 = 7;
/// ... so many kinds of them ...
pub const CALLS: usize = 20_000;
/// ... by so many callers of one service ...
pub const CALLERS: usize = 256;
/// ... of whom so many are known by an address alone: in plaintext anybody may be as many as he likes ...
pub const CALLERS_BY_ADDRESS: usize = 32;
/// ... each by so many paths that were let through, and as many that were not; what comes then folds into what it begins with.
pub const CALL_PATHS: usize = 64;
/// Longest path of a call, in bytes.
pub const CALL_PATH: usize = 512;
/// Kinds of calls that are read of one report.
pub const CALLS_OF_ONE: usize = 4_000;
/// What consumers used is remembered for so many days ...
pub const CONSUMED_DAYS: u64 = 31;
/// ... of so many of them ...
pub const CONSUMERS: usize = 4_096;
/// ... each by so many APIs; what comes then is counted together.
pub const CONSUMED_APIS: usize = 64;
/// Policies of which verdicts are remembered; those that decided nothing for an hour make room, what finds none is counted ...
pub const DECIDING: usize = 2_000;
/// ... and those that decided nothing for so many days are forgotten.
pub const VERDICT_DAYS: u64 = 31;
/// Rules of one of them that are told apart; the rest are `other`.
pub const DECIDING_RULES: usize = 64;
/// What is read of one report of verdicts: all kinds, as many as a proxy tells apart.
pub const VERDICTS_OF_ONE: usize = 5_005;
/// Longest name of a policy or a rule in a report, in bytes.
pub const VERDICT_BYTES: usize = 512;
/// Longest name of a consumer or an API in a report, in bytes.
pub const CONSUMER_BYTES: usize = 512;
/// What is read of one report of what consumers used.
pub const CONSUMED_OF_ONE: usize = 4_097;
/// What is too old of what was counted leaves the store this often, in seconds.
pub const CALLS_SAVE: u64 = 15;
/// Reports that come so shortly after each other are stored in one step; then they are acknowledged.
pub const STORED_TOGETHER: Duration = Duration::from_millis(200);
/// Problems that are told at once.
pub const PROBLEMS: usize = 1000;
/// Proxies whose sequence numbers are remembered.
pub const REPORTERS: usize = 2 * REGISTRATIONS;
/// Events that are remembered for who comes later.
pub const PAST_EVENTS: usize = 512;
/// Processes of one proxy whose reports are told apart: the one that serves, and elder ones that finish what they began.
pub const INCARNATIONS: usize = 8;
/// Window over which rates are told.
pub const RATE_SECONDS: usize = 10;
/// Unused join tokens.
pub const TOKENS: usize = 1000;
/// Join tokens of any state: used and expired ones are remembered for a day, to say so.
pub const TOKENS_REMEMBERED: usize = 10_000;
/// Longest life of a join token.
pub const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// To finish a TLS handshake with a proxy.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way; further connections wait in the kernel's queue.
pub const HANDSHAKES: usize = 1024;
/// Connections by one certificate; for one more the eldest ends. A process has one, and its elder ones that finish what they began have as many.
pub const CONNECTIONS_OF_ONE: usize = 16;
/// Connections of all who show no certificate, as a process does that joins ...
pub const STRANGERS: usize = 256;
/// ... each of which lasts so long.
pub const STRANGER: Duration = Duration::from_secs(60);
/// A proxy that says nothing is asked this often whether it is there.
pub const KEEPALIVE: Duration = Duration::from_secs(5);
/// A process has so long to answer that.
pub const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);
/// The machine at the other end has so long to take what it is sent, the question among it: its kernel answers whatever its processes do.
pub const UNHEARD: Duration = Duration::from_secs(10);
/// Open streams have this long to end when the control plane does.
pub const SHUTDOWN: Duration = Duration::from_secs(2);
/// Ejected endpoints that are remembered of one proxy.
pub const EJECTIONS: usize = 1000;
/// How long a proxy's word on ejected endpoints holds, in seconds: it repeats it each second.
pub const EJECTION_SECONDS: u64 = 10;
/// Health checks that are read of one report ...
pub const CHECKS_OF_ONE: usize = 1000;
/// ... and endpoints whose last check is remembered, for each proxy that tells of it.
pub const CHECKS: usize = 50_000;
/// As many of them are one proxy's at most.
pub const CHECKS_OF_PROXY: usize = 10_000;
/// Longest name of a service or an endpoint that a check is of, in bytes.
pub const CHECK_NAME: usize = 256;
/// A check that says it comes again later than in so many seconds is believed for so long.
pub const CHECK_SECONDS: u64 = 3600;
/// What one of them said, in bytes.
pub const CHECK_SAID: usize = 256;
/// Proxies that a condition names which cannot fetch an issuer's keys.
pub const KEYLESS_TOLD: usize = 3;
/// Connections of browsers at once; further ones wait.
pub const DASHBOARD_CONNECTIONS: usize = 128;
/// Who asks the control socket has so long to say what it wants, and between two questions.
pub const API_HEAD: Duration = Duration::from_secs(30);
/// A browser has so long to say what it wants.
pub const DASHBOARD_HEAD: Duration = Duration::from_secs(30);
/// Links that nobody has used yet; the eldest ends for a new one beyond.
pub const DASHBOARD_CODES: usize = 32;
/// Life of an unused link, in seconds.
pub const DASHBOARD_CODE: u64 = 600;
/// A browser that was let in stays so for so long, in seconds.
pub const DASHBOARD_SESSION: u64 = 12 * 3600;
/// Requests that failed and are remembered.
pub const FLOWS: usize = 1000;
/// Single requests that are read of one report.
pub const FLOWS_OF_ONE: usize = 2000;
/// One of them, as JSON, in bytes.
pub const FLOW_BYTES: usize = 8 * 1024;
/// Traces that are remembered at once ...
pub const TRACES: usize = 1000;
/// ... for so many seconds ...
pub const TRACE_SECONDS: u64 = 600;
/// ... of at most so many bytes as lines of JSON (in memory they weigh about five times that).
pub const TRACE_BYTES: usize = 8 * 1024 * 1024;
/// Spans of one trace.
pub const SPANS_OF_ONE: usize = 200;
/// Traces that one answer lists.
pub const TRACES_TOLD: usize = 200;
/// For how many seconds it is remembered what programs do with traces ...
pub const CONTEXT_SECONDS: u64 = 60;
/// ... and how many calls without one make it a habit.
pub const CONTEXT_CALLS: u64 = 10;
/// Taps at once.
pub const TAPS: usize = 8;
/// Requests that one proxy tells a tap each second, at most.
pub const TAP_RATE: u32 = 100;
/// Lines that a tap which reads slowly may lag behind.
pub const TAP_LINES: usize = 1024;
/// A control plane leads for so long after it last wrote the lease, at most, in the eyes of the others ...
pub const LEASE: Duration = Duration::from_secs(15);
/// ... and in its own.
pub const LEASE_RENEW: Duration = Duration::from_secs(10);
/// How often the lease is written, or looked at.
pub const LEASE_RETRY: Duration = Duration::from_secs(2);
/// Changes of a cluster that come one soon after the other make one world.
pub const SETTLE: Duration = Duration::from_millis(10);
/// Where none came for so long, the first makes one of its own.
pub const CALM: Duration = Duration::from_millis(100);
/// Changes of what is to be written to a cluster that come one soon after the other are written once.
pub const WRITE_SETTLE: Duration = Duration::from_millis(50);
/// After a round of writing that took longer than this ...
pub const WRITE_LONG: Duration = Duration::from_secs(1);
/// ... nothing is written for as long again, but no longer than this.
pub const WRITE_REST: Duration = Duration::from_secs(5);
/// What could not be written to a cluster is tried again after so long.
pub const WRITE_RETRY: Duration = Duration::from_secs(1);
/// Statuses that are written at once, and Events.
pub const WRITES: usize = 8;
/// First and longest pause before an API server is asked again that did not answer.
pub const API_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often it is asked which kinds it has: often while one is missing without which nothing is served.
pub const DISCOVER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// Events about objects of a cluster that are remembered, so as to be told once.
pub const TOLD_EVENTS: usize = 10_000;
/// Events that are told before statuses are looked at again; the rest follows a second later.
pub const EVENTS_AT_ONCE: usize = 100;
/// To reach an API server.
pub const API_CONNECT: Duration = Duration::from_secs(10);
/// To give the lease back when the control plane ends.
pub const LEASE_LEAVE: Duration = Duration::from_secs(1);
/// A connection to it that is quiet for longer is given up; watches end by themselves before.
pub const API_QUIET: Duration = Duration::from_secs(300);
/// What is wrong with a watch is said again at the longest pause; what is not said again for so long is over.
pub const TROUBLE: Duration = Duration::from_secs(30);
/// What Gateways are made of is applied again after so long, since others may have changed it.
pub const APPLY_AGAIN: Duration = Duration::from_secs(60);
/// To have an answer from a Prometheus.
pub const PROMETHEUS_TIME: Duration = Duration::from_secs(5);
/// One of its answers, in bytes.
pub const PROMETHEUS_BYTES: usize = 4 * 1024 * 1024;
/// Histories that are asked for at once; a further one is refused.
pub const PROMETHEUS_ASKED: usize = 4;
/// Of its own words on why it refuses, in characters.
pub const PROMETHEUS_WORDS: usize = 256;
/// Longest history that is asked for, in hours.
pub const LONG_HOURS: u64 = 30 * 24;
/// Points of such a history, about.
pub const LONG_POINTS: u64 = 360;
/// They are no closer than so many seconds ...
pub const LONG_STEP: u64 = 30;
/// ... and each tells of so many at least, for rates need two scrapes.
pub const LONG_WINDOW: u64 = 120;
/// Of a log, so many bytes of its end are read ...
pub const LOG_TAIL_BYTES: u64 = 128 * 1024;
/// ... and so many lines told.
pub const LOG_TAIL_LINES: usize = 400;
/// Connections of API servers that ask before they take objects; further ones wait ...
pub const ADMISSION_CONNECTIONS: usize = 64;
/// ... and what is judged of them at once.
pub const ADMISSIONS: usize = 2;
/// A question that got no place among those within so long is refused ...
pub const ADMISSION_WAIT: Duration = Duration::from_secs(3);
/// ... and one that is not told and judged within so long is given up, with its connection ...
pub const ADMISSION_TIME: Duration = Duration::from_secs(10);
/// ... of which none lasts longer than this and one more question.
pub const ADMISSION_AGE: Duration = Duration::from_secs(60);
/// One question of theirs, in bytes: an object as it was and as it shall be.
pub const ADMISSION_BODY: usize = 8 * 1024 * 1024;
/// Why an object is refused, in bytes ...
pub const ADMISSION_MESSAGE: usize = 4096;
/// ... and how many warnings are given ...
pub const ADMISSION_WARNINGS: usize = 8;
/// ... each of so many bytes.
pub const ADMISSION_WARNING: usize = 240;

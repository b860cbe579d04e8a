//! What is said of each request, declared once: a [`Record`] becomes a metric ([`Metrics`]), a line of the access log ([`access_log`]), an edge
//! of the service graph ([`edge`]), a call that was seen ([`calls`]), a `Proxy-Status` field ([`proxy_status`]).
//!
//! The request path meets two things only: a [`Handle`], found once per (peer, route, backend) and then free of hashing and locks, and
//! [`Handle::observe`]. This crate reads no clock, opens no socket and knows no route: durations and names are handed in. What the process itself costs
//! ([`process`]) is asked of the kernel.

pub mod access_log;
pub mod calls;
pub mod consumed;
pub mod edge;
pub mod headers;
pub mod histogram;
mod idle;
pub mod limits;
pub mod metrics;
pub mod peer;
pub mod process;
pub mod proxy_status;
pub mod record;
pub mod span;
pub mod trace;
pub mod verdicts;

pub use calls::{CallCounts, CallId};
pub use consumed::{ConsumedCells, ConsumedCounts, ConsumedId};
pub use edge::{EdgeDelta, EdgeId, EdgeTotals, EdgeTracker};
pub use histogram::Histogram;
pub use metrics::{Exposition, Gauge, Handle, Metrics, WorkerMetrics};
pub use peer::Peer;
pub use proxy_status::proxy_status;
pub use record::{Decided, Destination, Outcome, Protocol, Record, Reporter, Security, Tell, Way};
pub use span::{Span, SpanKind};
pub use trace::{Sampler, Sampling, Trace, TraceContext, write_hex};
pub use verdicts::{Verdict, VerdictId};

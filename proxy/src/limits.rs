//! Limits of a proxy's rim. Those of requests and connections stand with `transport` and `routing`.

use std::time::Duration;

/// Largest snapshot file that is read.
pub const SNAPSHOT_BYTES: u64 = 512 * 1024 * 1024;
/// Largest configuration file.
pub const CONFIG_BYTES: u64 = 1024 * 1024;
/// How long a request waits for a name that was never used before.
pub const RESOLVE: Duration = Duration::from_secs(3);
/// Names known at once; beyond it new ones are refused.
pub const NAMES: usize = 2048;
/// Questions waiting for the rim.
pub const QUESTIONS: usize = 1024;
/// First and longest pause between attempts to reach the control plane.
pub const RECONNECT_MIN: Duration = Duration::from_millis(100);
pub const RECONNECT_MAX: Duration = Duration::from_secs(15);
/// TCP and TLS towards the control plane.
pub const CONNECT: Duration = Duration::from_secs(5);
/// One answer of the control plane (signing, telemetry).
pub const ANSWER: Duration = Duration::from_secs(10);
/// How often edges are reported.
pub const REPORT: Duration = Duration::from_secs(1);
/// How long a drain may take unless the configuration says otherwise.
pub const DRAIN: Duration = Duration::from_secs(30);

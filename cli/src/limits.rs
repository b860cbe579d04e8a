//! Every bound of the command line and its supervisor, by name.

use std::time::Duration;

/// A child's log is rotated when it reaches this size ...
pub const LOG_BYTES: u64 = 8 << 20;
/// ... and so many older ones are kept.
pub const LOGS_KEPT: u32 = 2;
/// A line of a child's log longer than this is broken in two.
pub const LOG_LINE: usize = 64 << 10;

/// First pause before a proxy that ended is started again; doubles up to the next.
pub const RESTART_FIRST: Duration = Duration::from_millis(200);
pub const RESTART_LONGEST: Duration = Duration::from_secs(10);
/// A child that ran so long starts again at the first pause.
pub const RESTART_FORGIVEN: Duration = Duration::from_secs(5);

/// How long a child may drain before it is killed.
pub const DRAIN: Duration = Duration::from_secs(10);
/// How long a proxy may take until it serves.
pub const READY: Duration = Duration::from_secs(20);
/// How often somebody is looked at who is to be ready.
pub const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a control plane may take until it answers: it reads all its files first.
pub const READING: Duration = Duration::from_secs(300);
/// How long one step of an upgrade may take: a child that drains, and another that starts.
pub const UPGRADE_STEP: Duration = Duration::from_secs(90);
/// How long the control socket may take to answer one question, and others who are asked: a supervisor, a newer program, the control plane that a
/// process joins.
pub const ANSWER: Duration = Duration::from_secs(10);
/// How often a process tells the control plane that it is there, in case that was forgotten.
pub const REGISTER_AGAIN: Duration = Duration::from_secs(2);
/// How often a Gateway's pod looks whether it may use another number of processors.
pub const LOOK_AT_PROCESSORS: Duration = Duration::from_secs(10);
/// After so long a process has started, and gives back what only that needed; and from time to time what has been needed since.
pub const SETTLED: Duration = Duration::from_secs(10);
pub const SETTLED_AGAIN: Duration = Duration::from_secs(600);
/// How long connecting to an upstream or a proxy may take, saying why it broke, and taking a word that was asked for.
pub const CONNECT: Duration = Duration::from_secs(5);

/// Largest body that the sample service echoes or reads from an upstream.
pub const SAMPLE_BODY: usize = 4 << 20;
/// Largest answer of the control socket.
pub const ANSWER_BYTES: usize = 64 << 20;
/// How many ports after a preferred one are tried.
pub const PORTS_TRIED: u16 = 200;
/// How many meshes of one demo name may run side by side.
pub const DEMOS: u32 = 50;
/// Connections of a browser to the dashboard of a cluster that are carried at once; further ones wait.
pub const CARRIED: usize = 64;
/// Most connections `organza load` opens.
pub const LOAD_CONNECTIONS: usize = 4096;
/// Of a token, in a file or on standard input.
pub const TOKEN_BYTES: u64 = 4096;
/// How often `get -w` looks ...
pub const WATCH_EVERY: Duration = Duration::from_millis(500);
/// ... and how long it waits for a control plane that is being replaced.
pub const WATCH_PATIENCE: Duration = Duration::from_secs(15);
/// How often `top` draws.
pub const TOP_EVERY: Duration = Duration::from_secs(1);
/// How long a command waits for one of a cluster's control planes to lead: one that ended without a word holds its lease for 15 s ...
pub const LEADER: Duration = Duration::from_secs(20);
/// ... how often it looks for one ...
pub const LEADER_AGAIN: Duration = Duration::from_millis(300);
/// ... and after how long it says so.
pub const LEADER_UNSAID: Duration = Duration::from_secs(1);
/// Kinds that others read in files for a cluster which are named; of more it is told how many.
pub const KINDS_NAMED: usize = 6;
/// A pod that is not let in yet asks again after so long.
pub const JOIN_AGAIN: Duration = Duration::from_secs(1);

//! Front ends: users' objects in, resources of the model, reports and statuses out. Pure; it never fails and never does I/O
//! but for `file`. One module per dialect; dialects meet in the model, never in each other's types.

pub mod object;

pub use object::{Object, Place};

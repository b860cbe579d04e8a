//! What decisions set aside without allocating. More than these costs an allocation, never a wrong verdict.

/// Targets that concern one place: the mesh, its namespace, a few selectors, services and their ports.
pub const SETS: usize = 12;

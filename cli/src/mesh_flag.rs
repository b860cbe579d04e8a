//! `--mesh`: which mesh a command means. The same flag for every command.

use crate::failure::Outcome;
use crate::place::{DEFAULT_MESH, Place};
use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct MeshFlag {
    /// Which mesh, where there are several
    #[arg(long, default_value = DEFAULT_MESH, value_name = "MESH", env = "ORGANZA_MESH")]
    pub mesh: String,
}

impl MeshFlag {
    pub fn place(&self) -> Outcome<Place> {
        Place::of(&self.mesh)
    }
}

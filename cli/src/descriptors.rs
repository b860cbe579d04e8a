//! Open files of the processes that carry others' connections: as many as the machine allows, for the soft limit that a shell or a service manager
//! hands on is often 1,024. Never in a supervisor: programs that it starts inherit the limit, and some of them count on the small one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of this process to the hard one and logs what it is now.
pub fn raise() {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    let raised = if before.current == before.maximum { Ok(()) } else { setrlimit(Resource::Nofile, wanted) };
    match raised {
        Ok(()) => tracing::info!("may open {} files; the limit was {}", told(before.maximum), told(before.current)),
        Err(e) => tracing::warn!(
            "may open {} files and no more: the limit cannot be raised to {}: {e}",
            told(before.current),
            told(before.maximum)
        ),
    }
}

fn told(limit: Option<u64>) -> String {
    limit.map_or_else(|| "any number of".to_owned(), |number| number.to_string())
}

//! The fuzzer: libFuzzer around one target, which the last argument names: `fuzz -max_total_time=60 FOLDER -ignore_remaining_args=1 http1`.
//! Started by `cargo xtask fuzz`, which knows the instrumentation that it is to be built with.
#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<fuzz::Check> = OnceLock::new();

/// # Panics
/// If no target is named: there is nothing to do then.
fn chosen() -> fuzz::Check {
    let name = std::env::args().next_back().unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| panic!("no target is called {name:?}"))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(chosen)(bytes));

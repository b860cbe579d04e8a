//! The `organza` binary. Parses the command line, hands it to one file per command, prints what went wrong, sets the exit code. Anything
//! that decides about a mesh lives in another crate.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks on standard output")]

mod access;
mod answer;
mod args;
mod ask_flag;
mod bug_report;
mod ca;
mod check;
mod child;
mod client;
mod completions;
mod control_process;
mod dashboard;
mod demo;
mod descriptors;
mod dial;
mod diff;
mod down;
mod environment;
mod events;
mod explain;
mod failure;
mod files;
mod gateway_pod;
mod get;
mod graph;
mod install;
mod join;
mod lifeline;
mod limits;
mod load;
mod log_file;
mod logs;
mod man;
mod mesh;
mod mesh_flag;
mod namespace_flag;
mod output;
mod patience;
mod pipe;
mod place;
mod ports;
mod probe;
mod program;
mod proxy_process;
mod render;
mod renew;
mod run;
mod sample;
mod settled;
mod status;
mod succession;
mod supervise;
mod table;
mod tap;
mod to;
mod token;
mod top;
mod trace;
mod trust;
mod units;
mod up;
mod upgrade;
mod validate;
mod wait;
mod wrapped;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    end_with_the_reader();
    program::remember();
    match args::run(args::parse()) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.what.is_empty() {
                eprintln!("organza: {failure}");
            }
            ExitCode::from(failure.code as u8)
        }
    }
}

/// `organza get edges -w | head -1`: when nobody reads any more, we end as SIGPIPE would end us, without a word.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if message.starts_with("failed printing to std") && message.contains("Broken pipe") {
            std::process::exit(128 + 13);
        }
        usual(panic);
    }));
}

//! `organza pipe`: carries bytes between its own input and output and a Unix socket, for who reaches a pod through the API server alone (`decisions/0039`). Typed by
//! nobody.

use crate::failure::{Context, Outcome};
use clap::Args;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct PipeArgs {
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
}

/// Until the socket has said all. Nothing else goes on in this process, so that it may wait.
pub fn run(args: &PipeArgs) -> Outcome {
    let carried = || format!("carry bytes of {}", args.socket.display());
    let mut stream = UnixStream::connect(&args.socket).doing(|| format!("reach {}", args.socket.display()))?;
    let mut there = stream.try_clone().doing(carried)?;
    // It may wait for input for ever, and ends with the process.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut there);
        // Whoever asks may still be listening.
        let _ = there.shutdown(Shutdown::Write);
    });
    let (mut out, mut buffer) = (std::io::stdout().lock(), vec![0; 16 * 1024]);
    loop {
        let read = stream.read(&mut buffer).doing(carried)?;
        if read == 0 {
            return Ok(());
        }
        // What stands in a buffer of this process is heard by nobody.
        out.write_all(&buffer[..read]).and_then(|()| out.flush()).doing(carried)?;
    }
}

//! `organza completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  source <(organza completions bash)\n  organza completions zsh > ~/.zfunc/_organza\n  organza completions fish | source"
)]
pub struct CompletionsArgs {
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) {
    // Printed by us, which ends quietly where nobody reads any more.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::args::Organza::command(), "organza", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
}

//! `-o text|json`: the same flag for every command that speaks to people or to programs.

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Text,
    Json,
}

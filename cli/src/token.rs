//! `organza token`: lets one more machine join, once. The token is shown when it is made and never again.

use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::{table, units};
use clap::{Args, Subcommand};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::api::{TokenList, TokenRequest, TokenResponse, path};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  organza token create --service-account shop/web --service web --ttl 10m > web.token\n  organza token list"
)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and write it to standard output
    Create(CreateArgs),
    /// Show which tokens there are, and which were used
    List(MeshOnly),
    /// Withdraw a token
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza token create --service-account shop/web --service web --ttl 10m > web.token")]
struct CreateArgs {
    /// The identity that joins, NAMESPACE/ACCOUNT
    #[arg(long, value_name = "NS/SA")]
    service_account: String,
    /// A service that it may answer for; may be given several times; none: a client
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,
    /// How long the token may be used
    #[arg(long, value_parser = units::duration, default_value = "10m")]
    ttl: Duration,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Args)]
struct MeshOnly {
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    id: String,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: TokenArgs) -> Outcome {
    match args.command {
        Command::Create(args) => create(args).await,
        Command::List(args) => list(&args.ask).await,
        Command::Delete(args) => {
            if !args.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(Failure::usage(format!("{:?} is no token's id", args.id)).remedy("organza token list"));
            }
            let client = args.ask.owner().await?;
            client.delete(&format!("{}/{}", path::TOKENS, args.id)).await?;
            println!("token {} is withdrawn", args.id);
            Ok(())
        }
    }
}

async fn create(args: CreateArgs) -> Outcome {
    let Some((namespace, account)) = args.service_account.split_once('/') else {
        return Err(Failure::usage(format!("{:?} is not NAMESPACE/ACCOUNT", args.service_account)).remedy("write it as default/web"));
    };
    let request = TokenRequest {
        namespace: namespace.into(),
        service_account: account.into(),
        services: args.services,
        ttl_seconds: args.ttl.as_secs(),
    };
    let answer: TokenResponse = args.ask.owner().await?.post(path::TOKENS, &request).await?;
    println!("{}", answer.token);
    eprintln!("organza: token {} can be used once, within {} s: organza run --token FILE …", answer.id, args.ttl.as_secs());
    Ok(())
}

async fn list(ask: &AskFlag) -> Outcome {
    let tokens: TokenList = ask.owner().await?.get(path::TOKENS).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let state = |token: &wire::api::Token| match token.used {
        Some(_) => "used".into(),
        None if token.expires <= now => "expired".into(),
        None => format!("usable for {} s", token.expires - now),
    };
    let rows: Vec<Vec<String>> =
        tokens.items.iter().map(|token| vec![token.id.clone(), token.identity.clone(), token.services.join(","), state(token)]).collect();
    print!("{}", table::columns(&["ID", "IDENTITY", "SERVICES", "STATE"], &rows, usize::MAX));
    Ok(())
}

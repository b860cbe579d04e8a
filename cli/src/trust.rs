//! `organza trust`: HTTPS on a developer's machine. An authority of this user's own, which this machine and its browsers are told to trust and which can vouch
//! for names alone that the internet does not have; and certificates of it, as Secrets for Gateways, off Kubernetes and on it. No mesh is asked.

mod stores;

use crate::failure::{Context, Failure, Outcome};
use crate::join::write_private;
use crate::place;
use base64::Engine;
use clap::{Args, Subcommand};
use identity::development::{DOMAINS, Development, Name};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use stores::Store;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "The authority is made when it is first asked for. It vouches for names below localhost, test,
example, internal, local and home.arpa and for private addresses, and for nothing else:
whoever gets hold of its key can be nobody on the internet.

Examples:
  organza trust certificate shop.localhost > shop-tls.yaml
  organza trust                     have this machine and your browsers trust it (as root)
  organza trust show | kubectl create configmap dev --from-file=ca.crt=/dev/stdin
  organza trust remove"
)]
pub struct TrustArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a certificate for names of this machine, as a Secret
    Certificate(CertificateArgs),
    /// Write the authority's own certificate (PEM)
    Show,
    /// Have it trusted no more; the authority stays
    Remove,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  organza trust certificate shop.localhost '*.shop.localhost' 127.0.0.1 > shop-tls.yaml
  organza trust certificate shop.test --name shop -n shop | kubectl apply -f -")]
struct CertificateArgs {
    /// Host names, with *. for all below one, and addresses
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Of the Secret; else it is made from the first name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Of the Secret
    #[arg(short, long)]
    namespace: Option<String>,
}

pub fn run(args: TrustArgs) -> Outcome {
    let folder = place::trust()?;
    match args.command {
        None => trust(&folder),
        Some(Command::Certificate(args)) => certificate(&folder, &args),
        Some(Command::Show) => {
            print!("{}", authority(&folder)?.certificate());
            Ok(())
        }
        Some(Command::Remove) => remove(&folder),
    }
}

fn root(folder: &Path) -> PathBuf {
    folder.join("authority.crt")
}

/// The one that is there, or a new one.
fn authority(folder: &Path) -> Outcome<Development> {
    let (certificate, key) = (root(folder), folder.join("authority.key"));
    let broken = |e: identity::Error| {
        Failure::problem(format!("the development authority in {} cannot be used", folder.display()))
            .why(e)
            .remedy("organza trust remove, delete that folder, and begin anew")
    };
    if certificate.exists() {
        let read = |path: &Path| std::fs::read(path).doing(|| format!("read {}", path.display()));
        return Development::load(&read(&certificate)?, &read(&key)?, SystemTime::now()).map_err(broken);
    }
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
    let made = Development::create(&format!("{user}@{machine}"), SystemTime::now()).map_err(broken)?;
    place::make_folder(folder)?;
    write_private(&key, made.key().as_bytes())?;
    write_private(&certificate, made.certificate().as_bytes())?;
    Ok(made)
}

fn trust(folder: &Path) -> Outcome {
    let whose = authority(folder)?;
    let root = root(folder);
    println!("authority: {}", root.display());
    each(&stores::all(), "trusted by", |store| store.add(&root, &whose.certificate()))
}

fn remove(folder: &Path) -> Outcome {
    if !root(folder).exists() {
        println!("there is no development authority in {}", folder.display());
        return Ok(());
    }
    each(&stores::all(), "trusted no more by", Store::remove)
}

/// Does it with each, and tells what came of it; a failure where one failed.
fn each(all: &[Store], done: &str, act: impl Fn(&Store) -> Result<bool, String>) -> Outcome {
    let mut failed = Vec::new();
    if all.is_empty() {
        return Err(Failure::problem("this machine has no place for authorities that is known here")
            .remedy("have your system and browsers trust the file that organza trust show writes"));
    }
    for store in all {
        match act(store) {
            Ok(true) => println!("{done} {store}"),
            Ok(false) => println!("{store} had nothing of it"),
            Err(why) => failed.push(format!("{store}: {why}")),
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => {
            let remedy = "do that, or give a program of yours the authority's file (curl --cacert)";
            Err(Failure::problem("not everywhere").why(failed.join("\n       ")).remedy(remedy))
        }
    }
}

fn certificate(folder: &Path, args: &CertificateArgs) -> Outcome {
    let read = |text: &String| {
        Name::parse(text).map_err(|e| {
            Failure::usage(e.to_string()).remedy(format!("use a name below one of {}, or a private address", DOMAINS.join(", ")))
        })
    };
    let names = args.names.iter().map(read).collect::<Outcome<Vec<Name>>>()?;
    let name = args.name.clone().unwrap_or_else(|| secret_name(&args.names[0]));
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    for text in std::iter::once(&name).chain(&args.namespace) {
        if !is_name(text) {
            return Err(Failure::usage(format!("{text:?} is no name of an object")).remedy("use lower-case letters, digits and dashes"));
        }
    }
    let shown = authority(folder)?.issue(&names, SystemTime::now()).doing(|| "sign a certificate".into())?;
    let namespace = args.namespace.iter().map(|namespace| format!(", namespace: {namespace}")).collect::<String>();
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    print!(
        "# For {}; by a development authority: organza trust has this machine trust it.
apiVersion: v1
kind: Secret
metadata: {{name: {name}{namespace}}}
type: kubernetes.io/tls
data:
  tls.crt: {}
  tls.key: {}
",
        args.names.join(", "),
        encoded(&shown.chain),
        encoded(&shown.key)
    );
    Ok(())
}

/// `*.Shop.localhost` → `shop-localhost-tls`.
fn secret_name(host: &str) -> String {
    let plain: String = host.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{}-tls", plain.trim_matches('-'))
}

#[cfg(test)]
mod tests;

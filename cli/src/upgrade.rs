//! `organza up --upgrade`: has what runs of a mesh on this machine replaced by the program that was typed, without a request lost. Each supervisor
//! (`up`, `run`, the demo) has a socket where that is asked for ([`desk`]); it becomes the new program itself ([`bequest`]) and then replaces its
//! children one after another. Here is the asking.

pub mod bequest;
pub mod desk;

use crate::client::Client;
use crate::failure::{Context, Failure, Outcome};
use crate::limits;
use crate::patience;
use crate::place::Place;
use crate::program;
use desk::{Request, Word};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use wire::api::{ProxyList, Status, path};

pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

pub async fn run(place: &Place) -> Outcome {
    let supervisors = running(place).await?;
    let request = Request { program: program::own()?.to_owned(), release: RELEASE.into() };
    let mut failed = 0;
    for (pid, socket) in supervisors {
        if let Err(failure) = ask(&socket, &request).await {
            println!("process {pid} is not upgraded: {failure}");
            failed += 1;
        }
    }
    let others = others(place).await;
    others.iter().for_each(|other| println!("{other}"));
    match (failed, others.len()) {
        (0, 0) => {
            println!("mesh {} runs organza {RELEASE}", place.mesh);
            Ok(())
        }
        _ => Err(Failure::problem(format!("not all of mesh {:?} is organza {RELEASE}", place.mesh))
            .why("what is said above; it goes on as it was, and no request was lost")
            .remedy("mend it and run the same command again")),
    }
}

/// Supervisors of the mesh on this machine, the one that holds the mesh first.
async fn running(place: &Place) -> Outcome<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place.supervisors()).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".sock")?.parse::<u32>().ok());
        let Some(pid) = pid else { continue };
        match UnixStream::connect(&path).await {
            Ok(_) => found.push((pid, path)),
            // Its process was killed.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => drop(std::fs::remove_file(&path)),
            Err(e) => return Err(e).doing(|| format!("ask process {pid}")),
        }
    }
    let holder = place.holder();
    found.sort_by_key(|(pid, _)| (Some(*pid) != holder, *pid));
    match holder {
        Some(holder) if found.first().is_none_or(|(pid, _)| *pid != holder) => {
            Err(Failure::problem(format!("mesh {:?} is held by process {holder}, which cannot be upgraded while it runs", place.mesh))
                .why("it is of an organza before upgrades")
                .remedy(format!("organza down --mesh {0}, then organza up --mesh {0}", place.mesh)))
        }
        None if found.is_empty() => Err(Failure::unreachable(format!("mesh {:?} is not up", place.mesh)).remedy(place.remedy())),
        _ => Ok(found),
    }
}

/// Prints what the supervisor says it does.
pub async fn ask(socket: &Path, request: &Request) -> Outcome {
    let mut stream = UnixStream::connect(socket).await.doing(|| "ask for the upgrade".into())?;
    let mut line = serde_json::to_vec(request).doing(|| "write the question".into())?;
    line.push(b'\n');
    stream.write_all(&line).await.doing(|| "ask for the upgrade".into())?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let next = tokio::time::timeout(limits::UPGRADE_STEP, lines.next_line()).await;
        let next = next.map_err(|_| Failure::problem(format!("it said nothing for {:?}", limits::UPGRADE_STEP)).remedy("organza logs"))?;
        let Some(line) = next.doing(|| "hear what becomes of it".into())? else {
            return Err(Failure::problem("it ended on the way").remedy("organza logs control"));
        };
        match serde_json::from_str(&line) {
            Ok(Word::Step(step)) => println!("{step}"),
            Ok(Word::Done) => return Ok(()),
            Ok(Word::Failed(why)) => return Err(Failure::problem(why)),
            // A later release has more to say.
            Err(_) => {}
        }
    }
}

/// What of the mesh is not of this release in the end, in words. Proxies are given a moment to come back to the new control plane.
async fn others(place: &Place) -> Vec<String> {
    let client = Client::control(place);
    let look = || async {
        match told(&client).await {
            Ok(others) => others,
            // A machine without a control plane: nobody else to ask.
            Err(_) if place.holder().is_none() => Vec::new(),
            Err(failure) => vec![failure.to_string()],
        }
    };
    match patience::until_ready(|| async { look().await.is_empty().then_some(()) }).await {
        Some(()) => Vec::new(),
        None => look().await,
    }
}

async fn told(client: &Client) -> Outcome<Vec<String>> {
    let status: Status = client.get(path::STATUS).await?;
    let proxies: ProxyList = client.get(path::PROXIES).await?;
    let mut others = Vec::new();
    if status.version != RELEASE {
        others.push(format!("the control plane is organza {}", status.version));
    }
    let other = proxies.items.iter().filter(|proxy| proxy.connected && proxy.version != RELEASE);
    others.extend(other.map(|proxy| format!("proxy {} is organza {}", proxy.name, proxy.version)));
    others.extend(proxies.items.iter().filter(|proxy| !proxy.connected).map(|proxy| format!("proxy {} is not connected", proxy.name)));
    Ok(others)
}

/// Whether a program can go on with what this one hands over, in its own words.
pub async fn check(program: &Path) -> Outcome {
    let format = bequest::FORMAT.to_string();
    let mut question = tokio::process::Command::new(program);
    question.args(["resumes", &format]).stdin(std::process::Stdio::null());
    match agrees(question).await? {
        true => Ok(()),
        false => Err(Failure::problem(format!("{} cannot go on with what organza {RELEASE} hands over", program.display()))
            .remedy("organza down, then up with that program")),
    }
}

/// Whether a program that is asked by its exit code agrees. One that says nothing in time is ended.
async fn agrees(mut question: tokio::process::Command) -> Outcome<bool> {
    let program = question.as_std().get_program().to_owned();
    let asked = question.kill_on_drop(true).output();
    let late = |_| Failure::problem(format!("{} does not answer", program.display())).why(format!("nothing within {:?}", limits::ANSWER));
    let answer = tokio::time::timeout(limits::ANSWER, asked).await.map_err(late)?;
    Ok(answer.doing(|| format!("run {}", program.display()))?.status.success())
}

#[cfg(test)]
mod tests;

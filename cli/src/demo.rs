//! `organza demo`: the shop as real processes, each with a proxy of its own, and a modest load. Shows what the mesh itself reports; judges by
//! what the load generator saw, which never retries.

mod screen;
pub mod shop;
pub mod view;

use crate::dashboard;
use crate::failure::{Context, Failure, Outcome};
use crate::join::{Joined, Member, Served};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::load::{Load, Plan, Tally};
use crate::mesh::{ControlPlane, Mesh};
use crate::output::Output;
use crate::place::{Place, Taken};
use crate::ports::{self, Reserved};
use crate::supervise::{Program, Restart, Supervised, stop_together};
use crate::upgrade::desk::{Caller, Desk};
use crate::{program, upgrade};
use clap::Args;
use proxy::config::GatewayPorts;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza demo\n  organza demo --for 20s\n  organza demo -o json | jq .load.rate")]
pub struct DemoArgs {
    /// End by itself after so long, with a summary
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::units::duration)]
    lasting: Option<Duration>,
    /// Requests per second
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// One JSON object per line instead of a table
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The gateway's port; taken over from the configuration when left out, and moved on if taken
    #[arg(long)]
    port: Option<u16>,
}

/// Where the gateway of `examples/shop` listens.
const GATEWAY_PORT: u16 = 8080;
/// The first port that a sample service tries.
const SAMPLE_PORTS: u16 = 9101;

/// `start` brings up the control plane for a place and its files.
pub async fn run<C: ControlPlane>(args: DemoArgs, start: impl AsyncFnOnce(&Place, &[PathBuf]) -> Outcome<C>) -> Outcome {
    if !(args.rate > 0.0 && args.rate <= 100_000.0) {
        return Err(Failure::usage("--rate must be between 0 and 100000"));
    }
    let mut lifeline = Lifeline::new(false).doing(|| "listen to signals".into())?;
    let (place, _taken) = own_place()?;
    let mut reserved = Reserved::default();
    let port = match args.port {
        Some(port) => {
            ports::demand((std::net::Ipv4Addr::UNSPECIFIED, port).into(), "--port")?;
            port
        }
        None => reserved.prefer(GATEWAY_PORT)?,
    };
    let files = shop::configuration(&place, GATEWAY_PORT, port)?;
    let control = start(&place, std::slice::from_ref(&files)).await?;
    let mut mesh = Mesh::start(&place, control, GatewayPorts::Exact).await?;
    let opened = tokio::select! {
        biased;
        () = lifeline.ended() => Err(Failure::silent()),
        opened = Shop::open(&place, &mut reserved) => opened,
    };
    let ended = match opened {
        Ok(shop) => {
            let commands = commands(&place, &files, shop.door());
            if args.output == Output::Text {
                println!("mesh {} · open http://127.0.0.1:{port}/ · meanwhile, in another terminal:\n{commands}\n", place.mesh);
                println!("{}\n", dashboard::told(&place).await);
            }
            let tally = show(&args, &place, port, &mut mesh, &shop, &mut lifeline).await;
            shop.close().await;
            tally.map(|tally| (tally, commands))
        }
        Err(failure) => Err(failure),
    };
    mesh.stop().await;
    let (shown, commands) = ended?;
    judge(&shown, args.output, &commands)
}

/// `demo`, or `demo-2` and so on where that one is up already.
fn own_place() -> Outcome<(Place, Taken)> {
    free_place(Place::of)
}

fn free_place(of: impl Fn(&str) -> Outcome<Place>) -> Outcome<(Place, Taken)> {
    let mut last = None;
    for n in 1..=limits::DEMOS {
        let name = if n == 1 { "demo".to_owned() } else { format!("demo-{n}") };
        let place = of(&name)?;
        match place.take() {
            Ok(taken) => return Ok((place, taken)),
            Err(failure) if place.is_taken() => last = Some(failure),
            // A disk that is full is so under each name.
            Err(failure) => return Err(failure),
        }
    }
    Err(last.unwrap_or_else(Failure::silent))
}

/// The services and their proxies.
struct Shop {
    /// Callers first: the order in which they end.
    members: Vec<Joined>,
    samples: Vec<Supervised>,
}

impl Shop {
    async fn open(place: &Place, reserved: &mut Reserved) -> Outcome<Self> {
        let mut shop = Self { members: Vec::new(), samples: Vec::new() };
        let mut waiting = Vec::new();
        for service in shop::SERVICES {
            let port = reserved.prefer(SAMPLE_PORTS)?;
            waiting.push(async move { Joined::member(place, member(service, port)).await.map(|joined| (service, port, joined)) });
        }
        // A service that is called need not be there before those that call: the load starts when all are.
        for joined in futures_util::future::join_all(waiting).await {
            let (service, port, joined) = joined?;
            shop.samples.push(sample(place, service, port, &joined)?);
            ports::await_listener(port).await?;
            shop.members.insert(0, joined);
        }
        Ok(shop)
    }

    /// Where the mesh listens for `web`: what answers nobody without an SVID.
    fn door(&self) -> Option<SocketAddr> {
        self.members.iter().find(|member| member.name.starts_with("web")).and_then(|member| member.inbound)
    }

    async fn close(self) {
        for member in self.members {
            member.leave().await;
        }
        stop_together(self.samples).await;
    }
}

fn member(service: shop::Service, port: u16) -> Member {
    Member {
        name: format!("{}-{}", service.name, service.version),
        namespace: "default".into(),
        service_account: service.name.into(),
        service: Some(Served { service: service.name.into(), port: 80, target: port }),
        labels: vec![("app".into(), service.name.into()), ("version".into(), service.version.into())],
        upstreams: Vec::new(),
        strict: true,
        address: None,
        listen: None,
    }
}

fn sample(place: &Place, service: shop::Service, port: u16, joined: &Joined) -> Outcome<Supervised> {
    // As its proxy is called: by that name its lines are looked for.
    let name = joined.name.clone();
    let port = port.to_string();
    let mut command: Vec<std::ffi::OsString> = vec![program::own()?.into()];
    command.extend(["sample", "--tethered", "--name", service.name, "--version", service.version, "--port", &port].map(Into::into));
    if let Some(upstream) = service.upstream {
        command.extend(["--upstream", upstream].map(Into::into));
    }
    let environment = crate::environment::variables(joined.outbound, &joined.secret, None);
    Supervised::start(Program { log: Some(place.log(&name)), name, command, environment, restart: Restart::Never, patience: limits::DRAIN })
}

/// The mesh becomes another program. The demo itself stays what it is: it is the load, and would stop for it.
async fn upgraded<C: ControlPlane>(mesh: &mut Mesh<C>, shop: &Shop, program: &Path, mut caller: Caller) {
    let upgraded = async {
        upgrade::check(program).await?;
        mesh.upgrade(program, async |step| caller.step(step).await).await?;
        for member in &shop.members {
            caller.step(member.upgrade(program).await?).await;
        }
        caller.step("the demo's load goes on in the process that it is in").await;
        Ok(())
    };
    let upgraded = upgraded.await;
    caller.end(&upgraded).await;
}

async fn show<C: ControlPlane>(
    args: &DemoArgs,
    place: &Place,
    port: u16,
    mesh: &mut Mesh<C>,
    shop: &Shop,
    lifeline: &mut Lifeline,
) -> Outcome<Shown> {
    let url = format!("http://127.0.0.1:{port}/");
    let plan = Plan {
        url: url.parse().doing(|| format!("read {url}"))?,
        method: hyper::Method::GET,
        headers: hyper::HeaderMap::new(),
        body: bytes::Bytes::new(),
        connections: 4,
        rate: Some(args.rate),
    };
    let mut desk = Desk::open(place)?;
    let begun = Instant::now();
    let load = Load::start(plan);
    let mut screen = screen::Screen::new(args.output, place, &url);
    let end = async {
        match args.lasting {
            Some(lasting) => tokio::time::sleep(lasting).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut tick = tokio::time::interval_at(begun + Duration::from_secs(1), Duration::from_secs(1));
    let called_off = loop {
        tokio::select! {
            biased;
            () = lifeline.ended() => break true,
            () = &mut end => break false,
            event = mesh.event() => screen.event(&event),
            (request, caller) = desk.asked() => upgraded(mesh, shop, &request.program, caller).await,
            _ = tick.tick() => screen.tick(mesh, &load, begun.elapsed()).await,
        }
    };
    let elapsed = begun.elapsed();
    screen.last(mesh, &load, elapsed).await;
    Ok(Shown { tally: load.stop().await, elapsed, called_off })
}

/// A demo that has ended.
struct Shown {
    tally: Tally,
    elapsed: Duration,
    /// Its user ended it, and not the time that it was given.
    called_off: bool,
}

fn judge(shown: &Shown, output: Output, commands: &str) -> Outcome {
    let Shown { tally, elapsed, called_off } = shown;
    match output {
        Output::Json => println!("{}", serde_json::json!({"summary": tally.to_json(*elapsed)})),
        Output::Text => {
            println!("\n{} requests in {} s, {} failed at the first try", tally.requests, elapsed.as_secs(), tally.failed());
            for example in &tally.examples {
                println!("  {example}");
            }
            println!("\nSee for yourself, while a demo runs:\n{commands}");
        }
    }
    match tally.failed() {
        // Ctrl-C may come before the first of them.
        0 if tally.requests > 0 || *called_off => Ok(()),
        0 => Err(Failure::problem("no request was sent")),
        _ => Err(Failure::silent()),
    }
}

/// Who calls whom; that a stranger is refused; that an edit takes effect.
fn commands(place: &Place, files: &Path, door: Option<SocketAddr>) -> String {
    let (mesh, routes) = (&place.mesh, files.join("routes.yaml"));
    let door = door.map_or_else(|| "127.0.0.1:15008".into(), |door| door.to_string());
    [
        format!("  organza get edges --mesh {mesh}"),
        format!("  openssl s_client -connect {door} </dev/null"),
        format!("  sed -i '/weight:/s/[19]0/50/' {}", routes.display()),
    ]
    .join("\n")
}

/// The demo's own mesh takes everything as it is by default.
pub fn control_flags() -> crate::control_process::ControlFlags {
    crate::control_process::ControlFlags {
        trust_domain: "organza.local".into(),
        listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        dashboard: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        svid_life: 86_400,
        ca_cert: None,
        ca_key: None,
        prometheus: None,
        links: Vec::new(),
    }
}

#[cfg(test)]
mod tests;

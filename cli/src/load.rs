//! `organza load`, and the modest load of the demo: N connections, a rate, every outcome counted. It never retries, so that what the mesh
//! loses is seen.

use crate::dial::{Dial, Trouble, exchange};
use crate::failure::{Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::units::duration;
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telemetry::Histogram;
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Where to send requests
    url: Uri,
    /// Connections kept open side by side
    #[arg(short, long, default_value_t = 4)]
    connections: usize,
    /// Requests per second over all connections; as many as possible when left out
    #[arg(short, long)]
    rate: Option<f64>,
    /// How long, e.g. 10s
    #[arg(long = "for", value_parser = duration, default_value = "10s")]
    lasting: Duration,
    #[arg(short = 'X', long, default_value = "GET")]
    method: Method,
    /// A header to send, NAME:VALUE
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// Bytes of body to send with each request
    #[arg(long, default_value_t = 0)]
    body: usize,
    /// End when standard input closes
    #[arg(long, hide = true)]
    tethered: bool,
}

/// What to send, how often.
#[derive(Debug, Clone)]
pub struct Plan {
    pub url: Uri,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub connections: usize,
    pub rate: Option<f64>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub requests: u64,
    pub succeeded: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub troubles: BTreeMap<Trouble, u64>,
    pub latency: Histogram,
    /// What the first failures said, for whoever has to find out why.
    pub examples: Vec<String>,
}

const EXAMPLES: usize = 5;

impl Tally {
    pub fn failed(&self) -> u64 {
        self.requests - self.succeeded
    }

    fn answered(&mut self, head: &http::response::Parts, took: Duration) {
        self.requests += 1;
        *self.statuses.entry(head.status.as_u16()).or_default() += 1;
        self.latency.record(took);
        if head.status.is_success() {
            self.succeeded += 1;
        } else {
            let why = head.headers.get("proxy-status").and_then(|v| v.to_str().ok()).unwrap_or("no Proxy-Status");
            self.example(format!("{} ({why})", head.status));
        }
    }

    fn troubled(&mut self, trouble: Trouble) {
        self.requests += 1;
        *self.troubles.entry(trouble).or_default() += 1;
        self.example(trouble.as_str().into());
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES && !self.examples.contains(&text) {
            self.examples.push(text);
        }
    }

    pub fn to_json(&self, lasted: Duration) -> Value {
        let micros = |q| self.latency.quantile(q).map(|d| d.as_micros() as u64);
        let statuses: BTreeMap<String, u64> = self.statuses.iter().map(|(code, n)| (code.to_string(), *n)).collect();
        let troubles: BTreeMap<&str, u64> = self.troubles.iter().map(|(trouble, n)| (trouble.as_str(), *n)).collect();
        json!({
            "requests": self.requests, "succeeded": self.succeeded, "failed": self.failed(),
            "seconds": lasted.as_secs_f64(), "rate": self.requests as f64 / lasted.as_secs_f64().max(1e-9),
            "statuses": statuses, "troubles": troubles, "examples": self.examples,
            "p50_us": micros(0.5), "p90_us": micros(0.9), "p99_us": micros(0.99), "max_us": micros(1.0),
        })
    }
}

/// A load under way. Requests already sent are awaited when it stops.
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub fn start(plan: Plan) -> Self {
        let tally = Arc::<Mutex<Tally>>::default();
        let (stop, stopped) = watch::channel(false);
        let plan = Arc::new(plan);
        let begun = Instant::now();
        let tasks = (0..plan.connections).map(|n| tokio::spawn(connection(plan.clone(), n, begun, tally.clone(), stopped.clone())));
        Self { tasks: tasks.collect(), tally, stop }
    }

    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    pub async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        futures_util::future::join_all(self.tasks).await;
        lock(&self.tally).clone()
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn connection(plan: Arc<Plan>, n: usize, begun: Instant, tally: Arc<Mutex<Tally>>, mut stopped: watch::Receiver<bool>) {
    let authority = plan.url.authority().map(|a| a.to_string()).unwrap_or_default();
    let way = Dial::direct(&authority);
    let every = plan.rate.map(|rate| Duration::from_secs_f64(plan.connections as f64 / rate));
    // Connections take turns, so that the rate is even and not a burst of N.
    let mut due = begun + every.map_or(Duration::ZERO, |every| every.mul_f64(n as f64 / plan.connections as f64));
    let mut sender = None;
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep_until(due) => {}
        }
        let started = Instant::now();
        match one(&plan, &way, &mut sender).await {
            Ok(head) => lock(&tally).answered(&head, started.elapsed()),
            Err(trouble) => {
                sender = None;
                lock(&tally).troubled(trouble);
                // A server that is gone should not be asked a million times a second.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        due = match every {
            Some(every) => (due + every).max(started),
            None => started,
        };
    }
}

async fn one(
    plan: &Plan,
    way: &Dial,
    sender: &mut Option<hyper::client::conn::http1::SendRequest<Full<Bytes>>>,
) -> Result<http::response::Parts, Trouble> {
    let mut request = Request::new(Full::new(plan.body.clone()));
    *request.method_mut() = plan.method.clone();
    *request.headers_mut() = plan.headers.clone();
    way.address(&mut request, &plan.url);
    // Who says which host is meant means another than he connects to.
    if let Some(host) = plan.headers.get(hyper::header::HOST) {
        request.headers_mut().insert(hyper::header::HOST, host.clone());
    }
    let open = match sender {
        Some(open) => open,
        None => sender.insert(way.connect().await?),
    };
    let (head, _) = exchange(open, request, || way.connect()).await?;
    Ok(head)
}

pub async fn run(args: LoadArgs) -> Outcome {
    if args.url.scheme_str() != Some("http") || args.url.authority().is_none() {
        return Err(Failure::usage(format!("{} is not an http:// URL", args.url)).remedy("write it as http://127.0.0.1:8080/"));
    }
    if args.connections > limits::LOAD_CONNECTIONS {
        let most = limits::LOAD_CONNECTIONS;
        return Err(Failure::usage(format!("{} connections are more than the {most} that one load opens", args.connections))
            .remedy("ask for fewer, or run another load beside it"));
    }
    if args.connections == 0 || args.rate.is_some_and(|r| !(r > 0.0 && r.is_finite())) {
        return Err(Failure::usage("connections and rate must be above zero").remedy("see organza load --help"));
    }
    let plan = Plan {
        url: args.url,
        method: args.method,
        headers: headers(&args.headers)?,
        body: Bytes::from(vec![b'x'; args.body]),
        connections: args.connections,
        rate: args.rate,
    };
    let mut lifeline = Lifeline::new(args.tethered).map_err(|error| Failure::problem("cannot listen to signals").why(error))?;
    let begun = Instant::now();
    let load = Load::start(plan);
    tokio::select! {
        biased;
        () = lifeline.ended() => {}
        () = tokio::time::sleep(args.lasting) => {}
    }
    let tally = load.stop().await;
    println!("{}", tally.to_json(begun.elapsed()));
    match tally.failed() {
        0 if tally.requests > 0 => Ok(()),
        _ => Err(Failure::silent()),
    }
}

pub fn headers(texts: &[String]) -> Outcome<HeaderMap> {
    let mut map = HeaderMap::new();
    for text in texts {
        let parsed = text.split_once(':').and_then(|(name, value)| {
            Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let Some((name, value)) = parsed else {
            return Err(Failure::usage(format!("{text:?} is not a header")).remedy("write it as NAME:VALUE"));
        };
        map.append(name, value);
    }
    Ok(map)
}

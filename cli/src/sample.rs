//! `organza sample`: the little service of which the shop of the demo is made, and the server that tests talk to. It answers JSON that
//! names itself and what its upstreams answered. It is a user's program as far as the mesh is concerned: it knows `http_proxy` and no
//! more.

mod echo;

use crate::dial::{Dial, whole};
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::limits;
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Args)]
pub struct SampleArgs {
    /// How the service calls itself
    #[arg(long)]
    name: String,
    #[arg(long, default_value = "v1")]
    version: String,
    #[arg(long)]
    port: u16,
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Called for each request before it is answered; may be given several times
    #[arg(long = "upstream", value_name = "URL")]
    upstreams: Vec<Uri>,
    /// Send back every byte instead of speaking HTTP
    #[arg(long, conflicts_with = "upstreams")]
    tcp: bool,
    /// End when standard input closes
    #[arg(long)]
    tethered: bool,
}

struct Sample {
    name: String,
    version: String,
    upstreams: Vec<(Uri, Dial)>,
}

pub async fn run(args: SampleArgs) -> Outcome {
    let address = SocketAddr::new(args.listen, args.port);
    let listener = TcpListener::bind(address).await.doing(|| format!("listen on {address}"))?;
    let mut lifeline = Lifeline::new(args.tethered).doing(|| "listen to signals".into())?;
    println!("{} {} listens on {address}", args.name, args.version);
    if args.tcp {
        return tokio::select! {
            biased;
            () = lifeline.ended() => Ok(()),
            ended = echo::serve_tcp(listener) => ended.doing(|| format!("accept on {address}")),
        };
    }
    let proxy = std::env::var("http_proxy").ok().filter(|url| !url.is_empty());
    let upstreams = args.upstreams.into_iter().map(|uri| dial(uri, proxy.as_deref())).collect::<Outcome<_>>()?;
    serve(listener, Arc::new(Sample { name: args.name, version: args.version, upstreams }), lifeline).await
}

fn dial(uri: Uri, proxy: Option<&str>) -> Outcome<(Uri, Dial)> {
    let Some(host) = uri.authority().map(|a| a.as_str()).filter(|_| uri.scheme_str() == Some("http")) else {
        return Err(Failure::usage(format!("--upstream {uri} is not an http:// URL")).remedy("write it as http://catalog/items"));
    };
    let way = match proxy {
        Some(url) => Dial::proxy(url).ok_or_else(|| Failure::usage("http_proxy is not of the form http://HOST:PORT/"))?,
        None => Dial::direct(host),
    };
    Ok((uri, way))
}

async fn serve(listener: TcpListener, sample: Arc<Sample>, mut lifeline: Lifeline) -> Outcome {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = lifeline.ended() => break,
            accepted = listener.accept() => {
                // Out of descriptors, or a peer that left at once: the next one may fare better.
                let Ok((stream, _)) = accepted else { tokio::time::sleep(Duration::from_millis(10)).await; continue };
                connections.spawn(connection(stream, sample.clone(), lifeline.clone()));
                while connections.try_join_next().is_some() {}
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What has not ended by then is cut off.
    let _ = tokio::time::timeout(limits::DRAIN / 2, drained).await;
    Ok(())
}

async fn connection(stream: TcpStream, sample: Arc<Sample>, mut lifeline: Lifeline) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let sample = sample.clone();
        async move { Ok::<_, Infallible>(sample.answer(request).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let serving = server.serve_connection_with_upgrades(TokioIo::new(stream), answer);
    tokio::pin!(serving);
    // How a connection ends is the client's affair; nobody reads an error of ours.
    tokio::select! {
        biased;
        () = lifeline.ended() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
        _ = serving.as_mut() => {}
    }
}

impl Sample {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<echo::Body> {
        if echo::is_grpc(request.headers()) {
            return echo::grpc(request).await;
        }
        if echo::is_websocket(request.headers()) {
            return echo::websocket(&mut request);
        }
        let path = request.uri().path().to_owned();
        match path.split('/').nth(1).unwrap_or_default() {
            "echo" => return echo::body(request).await,
            "status" => return self.status(&path),
            "delay" => tokio::time::sleep(Duration::from_millis(last_number(&path).unwrap_or(0).min(60_000))).await,
            _ => {}
        }
        self.report(request, &path).await
    }

    fn status(&self, path: &str) -> Response<echo::Body> {
        let asked = last_number(path).and_then(|n| u16::try_from(n).ok()).and_then(|n| StatusCode::from_u16(n).ok());
        let status = asked.unwrap_or(StatusCode::BAD_REQUEST);
        self.json(status, json!({"service": self.name, "version": self.version, "status": status.as_u16()}))
    }

    async fn report(&self, request: Request<Incoming>, path: &str) -> Response<echo::Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = whole(body).await else {
            return self.json(StatusCode::BAD_REQUEST, json!({"service": self.name, "error": "body not read"}));
        };
        let mut status = StatusCode::OK;
        let mut upstreams = Vec::new();
        for (uri, way) in &self.upstreams {
            let (ok, said) = ask(uri, way, &head.headers).await;
            status = if ok { status } else { StatusCode::BAD_GATEWAY };
            upstreams.push(said);
        }
        let mut answer = json!({"service": self.name, "version": self.version, "method": head.method.as_str(), "path": path});
        let text = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
        for name in ["host", "x-request-id", "traceparent"] {
            if let Some(value) = text(name) {
                answer[name] = json!(value);
            }
        }
        if body.is_empty() && upstreams.is_empty() {
            return self.json(status, answer);
        }
        answer["upstreams"] = json!(upstreams);
        self.json(status, answer)
    }

    fn json(&self, status: StatusCode, value: Value) -> Response<echo::Body> {
        let mut answer = Response::new(echo::full(Bytes::from(format!("{value}\n"))));
        *answer.status_mut() = status;
        answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        answer
    }
}

/// Calls one upstream; says whether it went well, and what came back.
async fn ask(uri: &Uri, way: &Dial, caller: &HeaderMap) -> (bool, Value) {
    let mut request = Request::new(Full::new(Bytes::new()));
    // What every well-behaved service passes on: the trace, and the caller's own markers.
    for (name, value) in caller {
        let passed = name.as_str().starts_with("x-") || matches!(name.as_str(), "traceparent" | "tracestate" | "b3" | "baggage");
        if passed && !name.as_str().starts_with("x-forwarded-") {
            request.headers_mut().append(name.clone(), value.clone());
        }
    }
    match way.send(uri, request).await {
        Ok((head, body)) => {
            let said = serde_json::from_slice(&body).unwrap_or_else(|_| json!({"body": String::from_utf8_lossy(&body)}));
            match head.status.is_success() {
                true => (true, said),
                false => {
                    let fault = head.headers.get("proxy-status").and_then(|v| v.to_str().ok());
                    (false, json!({"upstream": uri.to_string(), "status": head.status.as_u16(), "proxy-status": fault, "answer": said}))
                }
            }
        }
        Err(trouble) => (false, json!({"upstream": uri.to_string(), "error": trouble.as_str()})),
    }
}

fn last_number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests;

//! What proxies are served, over mutual TLS: delta discovery, renewal of certificates, reports of edges; and, for those that have no certificate
//! yet, joining by token. Who calls is what the handshake proved, never what the request says.

mod guarded;
pub mod room;

use crate::core::{Core, Unsigned, now, seconds};
use crate::ejections::{Crowded, Ejection, Findings, Keyless, OpenBreaker};
use crate::shell::{Clock, monotone};
use crate::stand_in::Withheld;
use crate::tokens::Refused;
use crate::{calls, checks, graph, limits, registry};
use graph::named::{Named, Unnamed};
use guarded::guarded;
use identity::{ClientAuth, Credentials, alpn};
use model::{Key, SpiffeId};
use room::{End, Place, Room};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use telemetry::{ConsumedCounts, ConsumedId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use wire::api::Event;
use wire::delta::ServerSession;
use wire::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use wire::grpc::{Certificates, CertificatesServer, Discovery, DiscoveryServer, Telemetry, TelemetryServer};
use wire::v1;

/// Who is at the other end, and the SHA-256 of the certificate that says so; and what it named on this connection.
#[derive(Debug, Clone)]
pub struct Caller(pub Option<(SpiffeId, String)>, pub Arc<Mutex<Named>>);

/// A connection whose handshake is done, and for which there is room.
pub struct Secured<S> {
    stream: TlsStream<S>,
    caller: Caller,
    end: End,
    has_ended: bool,
    _place: Place,
}

impl<S> Secured<S> {
    fn new(stream: TlsStream<S>, room: &Room) -> Option<Self> {
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let proven = leaf.and_then(|leaf| Some((identity::peer_identity(leaf).ok()?, identity::pem::fingerprint(leaf))));
        let (place, end) = room.take(proven.as_ref().map(|(_, sha256)| &**sha256))?;
        Some(Self { stream, caller: Caller(proven, Arc::default()), end, has_ended: false, _place: place })
    }
}

/// Where proxies come in: a listening socket, or what stands for one on virtual time.
pub trait Entrance: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next connection.
    fn accept(&mut self) -> impl Future<Output = std::io::Result<Self::Stream>> + Send;
}

impl Entrance for TcpListener {
    type Stream = TcpStream;
    async fn accept(&mut self) -> std::io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        let _ = stream.set_nodelay(true);
        // A machine that vanished without a word; a process that only waits for its turn is another matter.
        let unheard = u32::try_from(limits::UNHEARD.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, unheard);
        Ok(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connected for Secured<S> {
    type ConnectInfo = Caller;
    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.has_ended || self.end.as_mut().poll(cx).is_ready() {
            self.has_ended = true;
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Serves until dropped.
pub async fn serve(core: Arc<Core>, listener: impl Entrance, credentials: Credentials) -> Result<(), tonic::transport::Error> {
    let config = match identity::server_config(&credentials, ClientAuth::Optional, &[alpn::H2], Arc::new(Clock)) {
        Ok(config) => config,
        Err(e) => {
            tracing::error!("no TLS for proxies: {e}");
            return Ok(());
        }
    };
    let acceptor = TlsAcceptor::from(config);
    let (sender, receiver) = mpsc::channel(limits::RESPONSES);
    tokio::spawn(accept(listener, acceptor, core.room.clone(), sender));
    let ending = core.ending();
    let service = Service(core);
    tonic::transport::Server::builder()
        // Who is not there any more is noticed all the same.
        .http2_keepalive_interval(Some(limits::KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_ANSWER))
        // A proxy that comes back says all that it holds.
        .add_service(DiscoveryServer::new(service.clone()).max_decoding_message_size(wire::limits::MESSAGE_BYTES))
        .add_service(CertificatesServer::new(service.clone()))
        .add_service(TelemetryServer::new(service).max_decoding_message_size(wire::limits::MESSAGE_BYTES))
        .serve_with_incoming_shutdown(ReceiverStream::new(receiver), ending)
        .await
}

async fn accept<E: Entrance>(
    mut listener: E,
    acceptor: TlsAcceptor,
    room: Room,
    sender: mpsc::Sender<std::io::Result<Secured<E::Stream>>>,
) {
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES));
    loop {
        // Each handshake ends by time, so one that waits comes in.
        let next = async { (handshakes.clone().acquire_owned().await, listener.accept().await) };
        let (handshake, accepted) = tokio::select! {
            biased;
            // The port is free again when nobody is served any more.
            () = sender.closed() => return,
            next = next => next,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(e) => {
                tracing::warn!("accept: {e}");
                tokio::time::sleep(limits::LOOK).await;
                continue;
            }
        };
        let (acceptor, room, sender) = (acceptor.clone(), room.clone(), sender.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(limits::HANDSHAKE, acceptor.accept(stream)).await;
            drop(handshake);
            match shaken {
                Ok(Ok(stream)) => match Secured::new(stream, &room) {
                    Some(secured) => drop(sender.send(Ok(secured)).await),
                    None => tracing::debug!("a stranger came while there was no room"),
                },
                Ok(Err(e)) => tracing::debug!("a handshake failed: {e}"),
                Err(_) => tracing::debug!("a handshake took too long"),
            }
        });
    }
}

#[derive(Clone)]
struct Service(Arc<Core>);

/// What hears reports, without a connection: a request brings its [`Caller`].
pub fn telemetry(core: Arc<Core>) -> impl Telemetry + Clone {
    Service(core)
}

fn proven<T>(core: &Core, request: &Request<T>) -> Result<SpiffeId, Status> {
    shown(core, request).map(|(identity, _)| identity)
}

const TAKEN_OUT: &str = "who has this certificate was taken out of the mesh";

fn unsigned(why: &Unsigned) -> Status {
    match why {
        Unsigned::Revoked => Status::unauthenticated(TAKEN_OUT),
        Unsigned::Nobody(_) => Status::permission_denied(why.to_string()),
        Unsigned::Bad(_) => Status::invalid_argument(why.to_string()),
    }
}

/// Comes when the certificate by which somebody is here is revoked.
async fn revoked(core: &Core, sha256: &str) {
    let mut worlds = core.watch();
    while !core.lock().registry.is_revoked(sha256) {
        // Members are told by the next world; without another nothing comes any more.
        if worlds.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Who it is, and by which certificate. Who was taken out with its certificates may have a connection of before.
fn shown<T>(core: &Core, request: &Request<T>) -> Result<(SpiffeId, String), Status> {
    let caller = request.extensions().get::<Caller>().and_then(|caller| caller.0.clone());
    let (identity, sha256) = caller.ok_or_else(|| Status::unauthenticated("this needs a certificate of the mesh"))?;
    match core.lock().registry.is_revoked(&sha256) {
        true => Err(Status::unauthenticated(TAKEN_OUT)),
        false => Ok((identity, sha256)),
    }
}

#[tonic::async_trait]
impl Discovery for Service {
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let caller = shown(&self.0, &request)?;
        let (sender, receiver) = mpsc::channel(limits::RESPONSES);
        let core = self.0.clone();
        tokio::spawn(async move {
            if let Err(status) = session(core, caller, request.into_inner(), &sender).await {
                // A proxy that is gone needs no reason.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

type Sender = mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>;

/// One proxy's stream, from its first word to its end.
async fn session(
    core: Arc<Core>,
    (identity, sha256): (SpiffeId, String),
    mut requests: Streaming<DeltaDiscoveryRequest>,
    sender: &Sender,
) -> Result<(), Status> {
    let mut session = ServerSession::new();
    let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("nothing was asked"))?;
    session.on_request(first).map_err(|e| Status::invalid_argument(e.to_string()))?;
    let proxy = session.node().unwrap_or_default().to_owned();
    let entry = core.lock().registry.get(&proxy).cloned();
    // A control plane that began anew knows no pod: whose certificate is of a Gateway's was let in before.
    let entry = entry.or_else(|| core.cluster().and_then(|_| core.admit(&proxy, &identity).ok()));
    let entry = entry.ok_or_else(|| Status::not_found(format!("no proxy {proxy:?} is registered")))?;
    if entry.identity().as_ref() != Some(&identity) {
        return Err(Status::permission_denied(format!("{identity} is not the identity that {proxy:?} was registered with")));
    }
    let stream = core.connected(&proxy, session.release().to_owned(), session.is_leaving());
    if core.serves(&proxy, stream) {
        core.tell(Event::ProxyConnected { proxy: proxy.clone(), time: seconds(now()) });
    }
    let ended = tokio::select! {
        biased;
        () = core.ending() => Err(Status::unavailable("the control plane is ending")),
        () = revoked(&core, &sha256) => Err(Status::unauthenticated(TAKEN_OUT)),
        () = core.replaced(&proxy, stream) => Err(Status::unavailable("the proxy was registered anew: connect again")),
        ended = converse(&core, &entry, stream, &mut session, &mut requests, sender) => ended,
    };
    let reason = ended.as_ref().err().map_or("it closed the stream".to_owned(), |status| status.message().to_owned());
    // One that was taken out before has left as it should.
    let reason = if core.lock().registry.get(&proxy).is_some() { reason } else { String::new() };
    if core.disconnected(&proxy, stream) {
        core.tell(Event::ProxyDisconnected { proxy, reason, time: seconds(now()) });
    }
    ended
}

async fn converse(
    core: &Core,
    entry: &registry::Entry,
    stream: u64,
    session: &mut ServerSession,
    requests: &mut Streaming<DeltaDiscoveryRequest>,
    sender: &Sender,
) -> Result<(), Status> {
    let mut worlds = core.watch();
    let (mut fresh, mut is_news) = (true, true);
    let mut last = None;
    // Of the view that was given last: the world may have gone on meanwhile.
    let mut generation = 0;
    let mut withheld = Withheld::new();
    loop {
        if fresh {
            let world = worlds.borrow_and_update().clone();
            generation = world.generation;
            if world.get(&entry.workload_key()).is_some() {
                last = Some(world.clone());
            }
            let (view, lacking) = core.views.of(&world, last.as_deref(), entry, session);
            if lacking != withheld {
                let names: Vec<_> = lacking.keys().map(String::as_str).collect();
                tracing::warn!("{} is of release {:?}, which does not know {}", entry.proxy, session.release(), names.join(", "));
            }
            withheld = lacking;
            session.set_view(view);
        }
        let sent = pump(session, sender).await?;
        // Nothing to send and nothing awaited: this proxy has all that concerns it. That it took a part is no news to anybody.
        let current = (!sent && !session.is_waiting()).then_some(generation);
        if is_news || current.is_some() {
            note(core, entry, stream, session, &withheld, current);
        }
        (fresh, is_news) = tokio::select! {
            biased;
            request = requests.message() => {
                let Some(request) = request? else { return Ok(()) };
                let heard = session.on_request(request).map_err(|e| Status::invalid_argument(e.to_string()))?;
                let is_news = heard.resubscribed || heard.acknowledged.is_some() || !heard.refused.is_empty();
                // What a process refuses that only finishes what it began is not in the way of anything.
                for (key, reason) in heard.refused.into_iter().filter(|_| core.serves(&entry.proxy, stream)) {
                    core.tell(Event::Nack { proxy: entry.proxy.clone(), generation, key, reason });
                }
                (heard.resubscribed, is_news)
            }
            changed = worlds.changed() => {
                changed.map_err(|_| Status::unavailable("the control plane is ending"))?;
                (true, false)
            }
        };
    }
}

async fn pump(session: &mut ServerSession, sender: &Sender) -> Result<bool, Status> {
    let mut sent = false;
    while let Some(response) = session.poll() {
        sent = true;
        sender.send(Ok(response)).await.map_err(|_| Status::cancelled("the proxy is gone"))?;
    }
    Ok(sent)
}

fn note(core: &Core, entry: &registry::Entry, stream: u64, session: &ServerSession, withheld: &Withheld, current: Option<u64>) {
    core.session(&entry.proxy, stream, |s| {
        s.acknowledged = session.acknowledged();
        s.current = current.unwrap_or(s.current);
        s.refused = session.refused().clone();
        s.withheld = withheld.clone();
        s.subscriptions = session.subscriptions().iter().map(|n| n.to_string()).collect();
        if current.is_some() {
            s.held = session.set().cloned().unwrap_or_default();
        }
    });
}

impl Service {
    /// What is signed says who the API server says that the pod is, whatever was asked for.
    async fn join_pod(&self, token: &str, csr: &[u8]) -> Result<Response<v1::JoinReply>, Status> {
        use crate::kubernetes::pods::{Refused, review};
        let client = self.0.cluster().ok_or_else(|| Status::unauthenticated("this control plane knows no pods"))?;
        let pod = review(client, token).await.map_err(|refused| match refused {
            Refused::Unanswered(_) => Status::unavailable(refused.to_string()),
            Refused::Token(_) => Status::unauthenticated(refused.to_string()),
        })?;
        let identity = SpiffeId::new(self.0.trust_domain.clone(), &pod.namespace, &pod.service_account);
        let identity = identity.map_err(|e| Status::permission_denied(e.to_string()))?;
        let proxy = format!("{}.{}", pod.name, pod.namespace);
        let entry = self.0.admit(&proxy, &identity).map_err(|e| Status::permission_denied(e.what))?;
        let signed = self.0.sign(csr, &identity, &entry.proxy).map_err(|e| unsigned(&e))?;
        Ok(Response::new(v1::JoinReply {
            services: Vec::new(),
            identity: entry.identity,
            proxy: entry.proxy,
            chain: signed.0.chain.into_iter().map(Into::into).collect(),
            roots: signed.1.into_iter().map(Into::into).collect(),
        }))
    }
}

#[tonic::async_trait]
impl Certificates for Service {
    async fn sign(&self, request: Request<v1::SignRequest>) -> Result<Response<v1::SignReply>, Status> {
        let (identity, sha256) = shown(&self.0, &request)?;
        // Whoever was taken out keeps what he has until it ends, and gets no more.
        let signed = self.0.renew(&request.get_ref().csr, &identity, &sha256).map_err(|e| unsigned(&e))?;
        Ok(Response::new(v1::SignReply {
            chain: signed.0.chain.into_iter().map(Into::into).collect(),
            roots: signed.1.into_iter().map(Into::into).collect(),
        }))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        let request = request.into_inner();
        if let Some(token) = request.secret.strip_prefix(wire::POD_TOKEN) {
            return self.join_pod(token, &request.csr).await;
        }
        let hash = identity::Token::hash_of_secret_text(&request.secret).map_err(|e| Status::unauthenticated(e.to_string()))?;
        // A mistake in the question does not use the token up.
        identity::SignRequest::parse(&request.csr).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let service = (!request.service.is_empty()).then_some(request.service);
        let kept = self.0.lock().tokens.redeem(&hash, service.as_deref(), seconds(now())).map_err(|refused| match refused {
            Refused::Service => Status::permission_denied(refused.to_string()),
            Refused::Unknown | Refused::Used | Refused::Expired => Status::unauthenticated(refused.to_string()),
        })?;
        // A token that might be used twice lets nobody in: a mesh that cannot remember its use gives it back.
        if !self.0.keep_token(&kept) {
            self.0.lock().tokens.give_back(&kept.hash);
            return Err(Status::unavailable("the control plane cannot store that the token is used: its disk is full or broken"));
        }
        let port = u16::try_from(request.port).unwrap_or(0);
        let service_port = match request.service_port {
            0 => 80,
            port => u16::try_from(port).unwrap_or(0),
        };
        let registration = wire::api::RegistrationRequest {
            name: request.name,
            namespace: kept.namespace,
            service_account: kept.service_account,
            ports: service.iter().map(|_| wire::api::WorkloadPort { service: service_port, target: port }).collect(),
            service,
            protocol: None,
            labels: request.labels.into_iter().collect(),
            addresses: request.addresses,
        };
        let entry = self.0.register(registration, None).map_err(|e| Status::invalid_argument(e.what))?;
        let identity = entry.identity().ok_or_else(|| Status::internal("no identity"))?;
        let signed = self.0.sign(&request.csr, &identity, &entry.proxy).map_err(|e| unsigned(&e))?;
        Ok(Response::new(v1::JoinReply {
            services: self.0.world().services_of(&entry.workload_key()),
            identity: entry.identity,
            proxy: entry.proxy,
            chain: signed.0.chain.into_iter().map(Into::into).collect(),
            roots: signed.1.into_iter().map(Into::into).collect(),
        }))
    }

    async fn leave(&self, request: Request<v1::LeaveRequest>) -> Result<Response<v1::LeaveReply>, Status> {
        let identity = proven(&self.0, &request)?;
        let proxy = request.into_inner().proxy;
        let holder = self.0.lock().registry.get(&proxy).map(registry::Entry::identity);
        match holder {
            // One that was taken out already has what it asks for.
            None => {}
            Some(holder) if holder.as_ref() == Some(&identity) => drop(self.0.deregister(&proxy)),
            Some(_) => return Err(Status::permission_denied(format!("{identity} is not the identity that {proxy:?} was registered with"))),
        }
        Ok(Response::new(v1::LeaveReply {}))
    }
}

#[tonic::async_trait]
impl Telemetry for Service {
    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        self.told(request).await
    }

    async fn report_numbered(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        self.told(request).await
    }
}

impl Service {
    async fn told(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        let identity = proven(&self.0, &request)?;
        let named = request.extensions().get::<Caller>().map(|caller| caller.1.clone()).unwrap_or_default();
        let mut report = request.into_inner();
        // Before the lock is taken that all share: it may mean a look at the whole world.
        let consumed = guarded(&self.0, (&report.proxy, &identity), std::mem::take(&mut report.consumed));
        let counted = report.sequence > 0 && !(consumed.is_empty() && report.calls.is_empty() && report.verdicts.is_empty());
        let (reply, reports) = self.hear(report, consumed, &identity, &named)?;
        // What is acknowledged is repeated no more: it has to outlive this process. It may have been counted before and not be stored yet.
        if counted {
            self.0.stored(reports).await;
        }
        Ok(Response::new(reply))
    }

    /// Counts what a proxy reports. With the answer it says how many reports were counted until now whose counts are to be stored.
    fn hear(
        &self,
        report: v1::ReportRequest,
        consumed: Vec<(ConsumedId, ConsumedCounts)>,
        identity: &SpiffeId,
        named: &Mutex<Named>,
    ) -> Result<(v1::ReportReply, u64), Status> {
        let mut inner = self.0.lock();
        if self.0.has_ended() {
            return Err(Status::unavailable("the control plane ends: tell the next"));
        }
        // A proxy reports for itself alone.
        let entry = inner.registry.get(&report.proxy).filter(|entry| entry.identity().as_ref() == Some(identity));
        let workload = entry.map(registry::Entry::workload_key);
        let is_member = workload.is_some();
        let departed = if is_member { None } else { inner.registry.departed(&report.proxy, identity).cloned() };
        if !is_member && departed.is_none() {
            return Err(Status::permission_denied("not the identity that this proxy was registered with"));
        }
        let found = Findings {
            ejections: report.ejections.into_iter().map(ejection).collect(),
            breakers: report.breakers.into_iter().map(breaker).collect(),
            crowded: report.crowded.into_iter().map(crowded).collect(),
            keyless: report.keyless.into_iter().map(keyless).collect(),
        };
        // What one that was taken out carried to its end is counted; how it is itself is nobody's business any more.
        if is_member {
            inner.ejections.report((&report.proxy, report.incarnation), found, seconds(now()));
            inner.checks.report(&report.proxy, report.checks.into_iter().map(check), seconds(now()));
        }
        if report.sequence > 0 {
            inner.calls.left_out_by(&report.proxy, report.incarnation, report.calls_left_out);
            let told = (report.incarnation, report.sequence);
            // What a panic leaves behind is a whole value here too.
            let named = &mut named.lock().unwrap_or_else(PoisonError::into_inner);
            let time = graph::Time { now: seconds(now()), over: report.seconds.into() };
            let is_news = inner.graph.hear(&report.proxy, told, graph::read::edges(&report.edges), named, time);
            let is_news = is_news
                .map_err(|Unnamed(number)| Status::failed_precondition(format!("edge {number} was not named on this connection")))?;
            // The graph begins anew with each control plane; what is stored goes on.
            let counts = is_news && !(consumed.is_empty() && report.calls.is_empty() && report.verdicts.is_empty());
            let counts = counts && inner.heard.is_news(&report.proxy, report.incarnation, report.sequence, seconds(now()));
            if counts {
                inner.reports += 1;
                inner.consumption.report(consumed, seconds(now()));
                inner.verdicts.report(report.verdicts, seconds(now()));
            }
            let is_new = counts && !report.calls.is_empty();
            let stood_for = || match departed {
                Some(gone) => Some((gone.workload, gone.services)),
                None => workload.map(|workload| (workload.clone(), self.0.world().backed(&workload).to_vec())),
            };
            if let Some((workload, services)) = is_new.then(stood_for).flatten() {
                inner.calls.report(&believed(&workload, &services, report.calls), seconds(now()));
            }
        }
        inner.flows.missed(report.flows_dropped, report.taps_dropped);
        inner.flows.report(&report.proxy, report.flows, seconds(now()));
        if let Some(seen) = report.context.as_ref().filter(|_| is_member) {
            inner.contexts.report(&report.proxy, seen, seconds(now()));
        }
        if let Some(process) = report.process.as_ref().filter(|_| is_member) {
            inner.processes.report((&report.proxy, report.incarnation), process, monotone());
        }
        Ok((v1::ReportReply { sequence: report.sequence, taps: inner.flows.wanted() }, inner.reports))
    }
}

/// Calls to what the proxy stands for. Others are not its to tell: from what is told, policies are written.
fn believed(workload: &Key, backed: &[Key], calls: Vec<v1::Call>) -> Vec<calls::Reported> {
    let is_own = |called: &calls::Called| match &*called.service {
        "" => *called.namespace == *workload.namespace,
        service => backed.iter().any(|key| *key.namespace == *called.namespace && *key.name == *service),
    };
    calls.into_iter().take(limits::CALLS_OF_ONE).filter_map(calls::read).filter(|told| is_own(&told.called)).collect()
}

/// Words that mean nothing to this version are left out rather than guessed.
fn ejection(told: v1::report_request::Ejection) -> Ejection {
    Ejection {
        namespace: told.service_namespace,
        service: told.service,
        endpoint: told.endpoint,
        cause: told.cause,
        since_millis: told.since_millis,
        left_millis: told.left_millis,
        unhealthy: told.unhealthy,
    }
}

fn check(told: v1::report_request::Check) -> checks::Told {
    checks::Told {
        endpoint: (told.service_namespace, told.service, told.endpoint),
        passed: told.passed,
        said: told.said,
        age_millis: told.age_millis,
        again_millis: told.again_millis,
    }
}

fn crowded(told: v1::report_request::Crowded) -> Crowded {
    Crowded { namespace: told.service_namespace, service: told.service, open: told.open, limit: told.limit, waiting: told.waiting }
}

fn keyless(told: v1::report_request::Keyless) -> Keyless {
    let v1::report_request::Keyless { issuer, why, since_millis, older_hold } = told;
    Keyless { issuer, why, since_millis, older_hold }
}

fn breaker(told: v1::report_request::OpenBreaker) -> OpenBreaker {
    OpenBreaker {
        namespace: told.service_namespace,
        service: told.service,
        percent: told.percent,
        requests: told.requests,
        since_millis: told.since_millis,
        half_open: told.half_open,
    }
}

#[cfg(test)]
mod tests;

//! The two corridors back: edges each second until acknowledged, and the next SVID at half life. Each lives as long as its connection; its
//! state outlives it.

use super::idle::Used;
use super::names::Names;
use super::{Draw, Handle};
use crate::config::Config;
use crate::flows::{ContextCounts, Missing};
use crate::guard::{By, Checked, Crowded, OpenBreaker, Out};
use crate::snapshot::file::write_private;
use crate::tokens::Keyless;
use crate::{limits, parts};
use identity::{Csr, Rotation, Svid};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;
use telemetry::edge::{EdgeDelta, EdgeTracker};
use telemetry::{ConsumedCounts, ConsumedId, Metrics, VerdictId};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use transport::rt;
use wire::grpc::{CertificatesClient, TelemetryClient};
use wire::v1;

/// Calls are told with every fifth report or so: nobody waits for them.
const CALLS_EVERY: std::time::Duration = limits::REPORT.saturating_mul(5);

/// Ends its task when dropped.
pub(super) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Of what is counted: over which time the report came together that is under way. It is made once and told until it is acknowledged, on each connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    sequence: u64,
    since: Instant,
    until: Instant,
}

impl Period {
    pub(super) fn begin(now: Instant) -> Self {
        Self { sequence: 0, since: now, until: now }
    }

    /// What was counted was looked at now, and it was the report of this number, or nothing. Says over how many seconds what it tells came.
    fn looked(&mut self, sequence: Option<u64>, now: Instant) -> u32 {
        match sequence {
            // Told once more, as it was.
            Some(sequence) if sequence == self.sequence => {}
            Some(sequence) => *self = Self { sequence, since: self.until, until: now },
            None => (self.since, self.until) = (now, now),
        }
        let over = self.until.saturating_duration_since(self.since).as_secs_f64().round();
        (over as u32).max(1)
    }
}

pub(super) fn reports(
    channel: Channel,
    proxy: String,
    metrics: Metrics,
    (tracker, period): (Rc<RefCell<EdgeTracker>>, Rc<RefCell<Period>>),
    used: Rc<RefCell<Used>>,
    handle: Handle,
) -> Task {
    Task(tokio::task::spawn_local(async move {
        let mut client = TelemetryClient::new(channel);
        let Handle { guards, flows, keys, last: last_word, .. } = handle;
        let mut asked = last_word.listen();
        let (mut told, mut names) = (false, Names::default());
        let (mut last, mut called) = (rt::now(), rt::now());
        loop {
            let ending = rt::timeout(limits::REPORT, asked.wait_for(|asked| *asked)).await.is_some();
            let with_calls = ending || rt::now().saturating_duration_since(called) >= CALLS_EVERY;
            let mut delta = tracker.borrow_mut().poll(&metrics, with_calls);
            let seconds = period.borrow_mut().looked(delta.as_ref().map(|delta| delta.sequence), rt::now());
            let (out, open) = (guards.out(rt::now()), guards.open(rt::now()));
            let (crowded, keyless) = (guards.crowded(), keys.keyless());
            let checked = guards.checked(rt::now());
            let (mut seen, missing) = flows.take(rt::now());
            let quiet = out.is_empty() && open.is_empty() && crowded.is_empty() && keyless.is_empty();
            // The last ejection that ends is told too; and who has nothing to tell asks now and then what is tapped.
            let idle = rt::now().saturating_duration_since(last) < limits::REPORT_IDLE;
            let counted_out = delta.is_none() && seen.is_empty() && missing.flows == 0 && checked.is_empty();
            if ending && counted_out {
                return last_word.is_told();
            }
            if counted_out && quiet && !told && idle {
                continue;
            }
            (told, last) = (!quiet, rt::now());
            let counted = delta.is_some();
            if delta.as_ref().is_some_and(|delta| !delta.calls.is_empty() || !delta.consumed.is_empty()) {
                called = rt::now();
            }
            if let Some(delta) = &delta {
                used.borrow_mut().extend(delta.edges.iter().map(|(id, _)| (id.service_namespace.clone(), id.service.clone())));
            }
            let incarnation = tracker.borrow().incarnation();
            let empty = || v1::ReportRequest { proxy: proxy.clone(), incarnation, ..Default::default() };
            let edges = delta.as_mut().map(|delta| std::mem::take(&mut delta.edges)).unwrap_or_default();
            let mut request = delta.map_or_else(empty, |d| v1::ReportRequest { seconds, ..report(&proxy, d) });
            request.ejections = out.into_iter().map(ejection).collect();
            request.breakers = open.into_iter().map(breaker).collect();
            request.crowded = crowded.into_iter().map(full).collect();
            request.keyless = keyless.into_iter().map(without_keys).collect();
            request.checks = checked.into_iter().map(check).collect();
            request.calls_left_out = metrics.calls_left_out();
            request.context = Some(context(flows.take_context()));
            (request.flows_dropped, request.taps_dropped) = (missing.flows, Some(taps_dropped(&missing)));
            parts::rest().await;
            request.process = telemetry::process::look().map(process);
            parts::rest().await;
            let lost = missing.and(&seen);
            let later = seen.split_off(seen.len().min(part(seen.len())));
            request.flows = seen;
            match rt::timeout(limits::ANSWER, names.tell(&mut client, &request, &edges)).await {
                Some(Ok(reply)) => {
                    flows.tap(reply.taps, rt::now());
                    if counted {
                        tracker.borrow_mut().acknowledged(reply.sequence);
                    }
                    let untold = tell_later(later, request, &mut names, &mut client).await;
                    flows.lost(&lost.only(&untold));
                    continue;
                }
                Some(Err(status)) => tracing::debug!(%status, "edges were not taken; they are sent again"),
                None => tracing::debug!("edges were not acknowledged in time; they are sent again"),
            }
            flows.lost(&lost);
            if ending {
                rt::sleep(limits::RECONNECT_MIN).await;
            }
        }
    }))
}

fn part(flows: usize) -> usize {
    parts::size(flows, limits::FLOWS_PART, limits::FLOWS_PARTS)
}

/// Single requests that the report before had no room for, some at a time. What that one found out is said again, for the last word holds; what it
/// counted is not. Gives back what was not taken.
async fn tell_later(
    mut later: Vec<v1::Flow>,
    report: v1::ReportRequest,
    names: &mut Names,
    client: &mut TelemetryClient<Channel>,
) -> Vec<v1::Flow> {
    let v1::ReportRequest { proxy, incarnation, ejections, breakers, crowded, keyless, .. } = report;
    let mut report = v1::ReportRequest { proxy, incarnation, ejections, breakers, crowded, keyless, ..Default::default() };
    let part = part(later.len());
    while !later.is_empty() {
        parts::rest().await;
        let rest = later.split_off(later.len().min(part));
        report.flows = std::mem::replace(&mut later, rest);
        let told = rt::timeout(limits::ANSWER, names.tell(client, &report, &[])).await;
        if !matches!(told, Some(Ok(_))) {
            tracing::debug!("single requests were not taken; they are counted");
            later.append(&mut report.flows);
            break;
        }
    }
    later
}

fn process(own: telemetry::process::Process) -> v1::report_request::Process {
    let telemetry::process::Process { cpu_millis, resident_bytes, threads, descriptors } = own;
    v1::report_request::Process { cpu_millis, resident_bytes, threads, descriptors }
}

fn taps_dropped(missing: &Missing) -> v1::report_request::TapsDropped {
    let (taps, flows) = missing.taps.iter().copied().unzip();
    v1::report_request::TapsDropped { taps, flows }
}

fn context(seen: ContextCounts) -> v1::report_request::Context {
    v1::report_request::Context { served: seen.served, passed_on: seen.passed_on, dropped: seen.dropped }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn full(told: Crowded) -> v1::report_request::Crowded {
    v1::report_request::Crowded {
        service_namespace: told.service.namespace.to_string(),
        service: told.service.name.to_string(),
        open: told.open,
        limit: told.limit,
        waiting: told.waiting,
    }
}

fn without_keys(told: Keyless) -> v1::report_request::Keyless {
    let Keyless { issuer, why, since, older_hold } = told;
    let since_millis = millis(rt::now().saturating_duration_since(since));
    v1::report_request::Keyless { issuer: issuer.to_string(), why, since_millis, older_hold }
}

fn breaker(open: OpenBreaker) -> v1::report_request::OpenBreaker {
    v1::report_request::OpenBreaker {
        service_namespace: open.service.namespace.to_string(),
        service: open.service.name.to_string(),
        percent: open.percent.into(),
        requests: open.requests,
        since_millis: millis(open.since),
        half_open: open.half_open,
    }
}

fn ejection(out: Out) -> v1::report_request::Ejection {
    v1::report_request::Ejection {
        service_namespace: out.service.namespace.to_string(),
        service: out.service.name.to_string(),
        endpoint: out.endpoint.to_string(),
        cause: out.cause,
        since_millis: millis(out.since),
        left_millis: millis(out.left),
        unhealthy: out.by == By::Check,
    }
}

fn check(told: Checked) -> v1::report_request::Check {
    v1::report_request::Check {
        service_namespace: told.service.namespace.to_string(),
        service: told.service.name.to_string(),
        endpoint: told.endpoint.to_string(),
        passed: told.last.passed,
        said: told.last.said.to_string(),
        age_millis: millis(told.age),
        again_millis: millis(told.last.again),
    }
}

/// Without its edges.
fn report(proxy: &str, delta: EdgeDelta) -> v1::ReportRequest {
    let calls = delta.calls.into_iter().map(|(id, counts)| v1::Call {
        source: id.source.to_string(),
        namespace: id.namespace.to_string(),
        service: id.service.to_string(),
        workload: id.workload.to_string(),
        port: id.port.into(),
        protocol: id.protocol.as_str().to_owned(),
        method: id.method.to_string(),
        path: id.path.to_string(),
        allowed: counts.allowed,
        denied: counts.denied,
    });
    v1::ReportRequest {
        proxy: proxy.to_owned(),
        incarnation: delta.incarnation,
        sequence: delta.sequence,
        calls: calls.collect(),
        consumed: delta.consumed.into_iter().map(consumed).collect(),
        verdicts: delta.verdicts.into_iter().map(verdict).collect(),
        ..Default::default()
    }
}

fn consumed((id, counts): (ConsumedId, ConsumedCounts)) -> v1::report_request::Consumed {
    let ConsumedCounts { requests, refused, client_errors, failures } = counts;
    v1::report_request::Consumed { consumer: id.consumer.to_string(), api: id.api.to_string(), requests, refused, client_errors, failures }
}

fn verdict((id, count): (VerdictId, u64)) -> v1::report_request::Verdict {
    let VerdictId { verdict, policy, rule } = id;
    v1::report_request::Verdict { verdict: verdict.as_str().to_owned(), policy: policy.to_string(), rule: rule.to_string(), count }
}

pub(super) fn renewals(
    channel: Channel,
    config: &Config,
    handle: Handle,
    rotation: Rc<RefCell<Rotation>>,
    draw: Rc<RefCell<Draw>>,
) -> Task {
    let config = config.clone();
    Task(tokio::task::spawn_local(async move {
        let mut client = CertificatesClient::new(channel);
        loop {
            let step = rotation.borrow().poll(rt::wall());
            if let identity::Step::Wait(until) = step {
                let left = until.duration_since(rt::wall()).unwrap_or_default();
                // In short sleeps: the clock of the day may jump.
                rt::sleep(left.min(limits::ANSWER).max(limits::RECONNECT_MIN)).await;
                continue;
            }
            let renewed = renew(&mut client, &config, &handle).await;
            let number = draw.borrow_mut().next();
            match renewed {
                Ok(svid) => {
                    rotation.borrow_mut().issued(svid.signed_at(), svid.not_after(), number);
                    handle.credentials.put_svid(svid);
                    tracing::info!("SVID renewed");
                }
                Err(error) => {
                    rotation.borrow_mut().failed(rt::wall(), number);
                    tracing::warn!(%error, "SVID was not renewed");
                }
            }
        }
    }))
}

async fn renew(client: &mut CertificatesClient<Channel>, config: &Config, handle: &Handle) -> Result<Svid, String> {
    let csr = Csr::generate(&config.identity).map_err(|error| error.to_string())?;
    let asked = client.sign(v1::SignRequest { csr: csr.der.clone().into() });
    let reply = rt::timeout(limits::ANSWER, asked).await.ok_or("no answer in time")?.map_err(|status| super::connect::text(&status))?;
    let chain = reply.into_inner().chain.into_iter().map(|der| der.to_vec()).collect();
    let svid = Svid::new(chain, csr.key()).map_err(|error| error.to_string())?;
    svid.check(rt::wall()).map_err(|error| error.to_string())?;
    if *svid.id() != config.identity {
        return Err(format!("it names {}", svid.id()));
    }
    // In memory it serves all the same; the file is for the next start.
    if !handle.saver.is_held()
        && let Err(error) = write_private(&config.svid, svid.to_pem().as_bytes())
    {
        tracing::error!(%error, "renewed SVID cannot be written");
    }
    Ok(svid)
}

#[cfg(test)]
mod tests;

//! Against a small control plane over loopback, which remembers how it was told.

use super::*;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telemetry::{Protocol, Reporter, Security};
use tonic::{Request, Response};
use wire::grpc::Telemetry;

/// What becomes of the next report.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Heard,
    /// It is read, and nobody says so.
    Unanswered,
    /// The control plane began anew.
    Forgotten,
}

/// By which call, and what it said.
type Heard = (&'static str, Vec<String>);

#[derive(Clone)]
struct Fake {
    knows_numbers: bool,
    named: Arc<Mutex<BTreeSet<u64>>>,
    fate: Arc<Mutex<Fate>>,
    /// Service and number of each edge, report by report; and by which call.
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Fake {
    async fn hear(&self, call: &'static str, report: v1::ReportRequest) -> Result<Response<v1::ReportReply>, Status> {
        let fate = std::mem::replace(&mut *self.fate.lock().unwrap(), Fate::Heard);
        if fate == Fate::Forgotten {
            self.named.lock().unwrap().clear();
        }
        let edges: Vec<_> = report.edges.iter().map(|edge| read(edge)).collect();
        let told = edges.iter().map(|(service, counts)| format!("{service}#{}", counts.number)).collect();
        self.heard.lock().unwrap().push((call, told));
        if fate == Fate::Unanswered {
            std::future::pending::<()>().await;
        }
        for (service, counts) in edges {
            assert_eq!(counts.requests, 3, "what it counted is told in either way");
            if !service.is_empty() {
                self.named.lock().unwrap().insert(counts.number);
            } else if !self.named.lock().unwrap().contains(&counts.number) {
                return Err(Status::failed_precondition("not named"));
            }
        }
        Ok(Response::new(v1::ReportReply { sequence: report.sequence, taps: Vec::new() }))
    }
}

/// Its service, and what it counted.
fn read(edge: &[u8]) -> (&str, wire::edge::Counts<'_>) {
    let (names, counts) = wire::edge::split(edge).unwrap();
    (wire::edge::words(names).unwrap()[5], wire::edge::counts(counts).unwrap())
}

#[tonic::async_trait]
impl Telemetry for Fake {
    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        self.hear("names", request.into_inner()).await
    }

    async fn report_numbered(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        match self.knows_numbers {
            true => self.hear("numbers", request.into_inner()).await,
            false => Err(Status::unimplemented("")),
        }
    }
}

async fn connected(knows_numbers: bool) -> (Fake, TelemetryClient<Channel>) {
    let fake = Fake { knows_numbers, named: Arc::default(), fate: Arc::new(Mutex::new(Fate::Heard)), heard: Arc::default() };
    let client = crate::rim::tests::telemetry(fake.clone()).await;
    (fake, client)
}

fn edge(service: &str) -> (EdgeId, EdgeTotals) {
    let id = EdgeId {
        reporter: Reporter::Source,
        source_namespace: "shop".into(),
        source_workload: "web".into(),
        source_version: "v1".into(),
        service_namespace: "shop".into(),
        service: service.into(),
        destination_namespace: "shop".into(),
        destination_workload: service.into(),
        destination_version: "v1".into(),
        protocol: Protocol::Http,
        security: Security::MutualTls,
    };
    (id, EdgeTotals { requests: 3, ..EdgeTotals::default() })
}

/// Of these services, and how the control plane heard it since.
async fn tell(
    names: &mut Names,
    client: &mut TelemetryClient<Channel>,
    fake: &Fake,
    services: &[&str],
) -> Vec<(&'static str, Vec<String>)> {
    let edges: Vec<_> = services.iter().map(|service| edge(service)).collect();
    let report = v1::ReportRequest { sequence: 5, ..Default::default() };
    // Of what is not answered nobody hears.
    let told = tokio::time::timeout(Duration::from_millis(300), names.tell(client, &report, &edges)).await;
    assert!(told.is_err() || told.unwrap().unwrap().sequence == 5);
    std::mem::take(&mut *fake.heard.lock().unwrap())
}

fn of(call: &'static str, edges: &[&str]) -> (&'static str, Vec<String>) {
    (call, edges.iter().map(|edge| (*edge).to_owned()).collect())
}

#[tokio::test]
async fn an_edge_is_named_until_that_is_acknowledged_and_told_by_number_from_then_on() {
    let (fake, mut client) = connected(true).await;
    let mut names = Names::default();
    assert_eq!(tell(&mut names, &mut client, &fake, &["a", "b"]).await, [of("numbers", &["a#1", "b#2"])]);
    *fake.fate.lock().unwrap() = Fate::Unanswered;
    assert_eq!(tell(&mut names, &mut client, &fake, &["c", "b"]).await, [of("numbers", &["c#3", "#2"])]);
    assert_eq!(tell(&mut names, &mut client, &fake, &["c", "b"]).await, [of("numbers", &["c#3", "#2"])], "nobody said that it was heard");
    assert_eq!(tell(&mut names, &mut client, &fake, &["c", "a", "d"]).await, [of("numbers", &["#3", "#1", "d#4"])]);
}

#[tokio::test]
async fn who_has_forgotten_the_numbers_is_told_the_names_at_once() {
    let (fake, mut client) = connected(true).await;
    let mut names = Names::default();
    tell(&mut names, &mut client, &fake, &["a", "b"]).await;
    *fake.fate.lock().unwrap() = Fate::Forgotten;
    let both = [of("numbers", &["#1"]), of("numbers", &["a#1"])];
    assert_eq!(tell(&mut names, &mut client, &fake, &["a"]).await, both);
    assert_eq!(tell(&mut names, &mut client, &fake, &["b", "a"]).await, [of("numbers", &["b#2", "#1"])], "of all of them");
}

#[tokio::test]
async fn a_control_plane_of_before_is_told_names_alone() {
    let (fake, mut client) = connected(false).await;
    let mut names = Names::default();
    for _ in 0..2 {
        assert_eq!(tell(&mut names, &mut client, &fake, &["a", "b"]).await, [of("names", &["a#0", "b#0"])]);
    }
}

#[tokio::test]
async fn so_many_edges_of_a_connection_have_numbers_and_the_others_names() {
    let (fake, mut client) = connected(true).await;
    let mut names = Names::default();
    let services: Vec<_> = (0..EDGE_NUMBERS + 2).map(|n| format!("s{n}")).collect();
    let services: Vec<_> = services.iter().map(String::as_str).collect();
    let numbers = |heard: Vec<(&'static str, Vec<String>)>| -> (usize, usize) {
        let told = || heard[0].1.iter();
        (told().filter(|edge| edge.starts_with('#')).count(), told().filter(|edge| edge.ends_with("#0")).count())
    };
    assert_eq!(numbers(tell(&mut names, &mut client, &fake, &services).await), (0, 2));
    assert_eq!(numbers(tell(&mut names, &mut client, &fake, &services).await), (EDGE_NUMBERS, 2));
}

//! The control plane against an API server in memory, on virtual time: what it reads, what it writes back, and that nothing that goes wrong between the
//! two takes anything away.

mod server;

use control::core::Core;
use control::kubernetes::{Cluster, Deployment, pods, run};
use control::store::Memory;
use control::{ControlConfig, open};
use model::{Resource, TrustDomain};
use serde_json::{Value, json};
use server::Server;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// One replica of the control plane.
struct Replica {
    core: Arc<Core>,
    task: JoinHandle<()>,
    synced: tokio::sync::watch::Receiver<bool>,
    _folder: tempfile::TempDir,
}

impl Replica {
    fn start(server: &Server, name: &'static str) -> Self {
        Self::start_as(server, name, None)
    }

    fn start_as(server: &Server, name: &'static str, deployment: Option<Deployment>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ControlConfig {
            mesh: "test".into(),
            state: folder.path().to_owned(),
            paths: Vec::new(),
            trust_domain: TrustDomain::parse("organza.local").unwrap(),
            listen: ([127, 0, 0, 1], 0).into(),
            dashboard: ([127, 0, 0, 1], 0).into(),
            metrics: None,
            svid_life: Duration::from_secs(600),
            own_ca: None,
            cluster: None,
            beyond: Default::default(),
        };
        let (core, _) = open(&config, Arc::new(Memory::default())).unwrap();
        let cluster =
            Cluster { client: server.client(name), namespace: "organza-system".into(), replica: name.into(), deployment, webhook: None };
        let (sender, synced) = tokio::sync::watch::channel(false);
        let serving = tokio::sync::watch::Sender::new(false);
        let task = tokio::spawn(run(cluster, core.clone(), config.svid_life, sender, serving));
        Self { core, task, synced, _folder: folder }
    }

    /// As SIGKILL: the lease is not given back.
    fn kill(self) {
        self.task.abort();
    }

    fn services(&self) -> Vec<String> {
        let world = self.core.world();
        world.resources().filter_map(|r| if let Resource::Service(s) = r { Some(s.key.name.to_string()) } else { None }).collect()
    }

    fn problems(&self) -> Vec<String> {
        self.core.lock().problems.iter().map(|problem| problem.reason.clone()).filter(|reason| reason != "NoKind").collect()
    }
}

/// Until something holds; time is virtual, so that waiting costs none.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name}, "spec": {"ports": [{"port": 80}]}})
}

fn class() -> Value {
    let spec = json!({"controllerName": "organza.dev/gateway-controller"});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "organza"}, "spec": spec})
}

fn gateway() -> Value {
    let spec = json!({"gatewayClassName": "organza", "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"namespace": "shop", "name": "gw"}, "spec": spec})
}

fn route(backend: &str) -> Value {
    let spec = json!({"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": backend, "port": 80}]}]});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"namespace": "shop", "name": "r"}, "spec": spec})
}

fn shop() -> Server {
    let server = Server::default();
    [service("web"), class(), gateway(), route("web")].into_iter().for_each(|object| server.put(object));
    server
}

fn condition<'v>(conditions: &'v Value, kind: &str) -> &'v Value {
    conditions.as_array().into_iter().flatten().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

fn resolved(server: &Server) -> String {
    let route = server.get("HTTPRoute", "shop", "r");
    let found = condition(&route["status"]["parents"][0]["conditions"], "ResolvedRefs");
    format!("{}@{}", found["reason"].as_str().unwrap_or("-"), found["observedGeneration"])
}

#[tokio::test(start_paused = true)]
async fn objects_come_in_and_statuses_go_back_once() {
    let server = shop();
    let mut replica = Replica::start(&server, "a");
    replica.synced.wait_for(|synced| *synced).await.unwrap();
    assert_eq!(replica.services(), ["web"]);
    until("a status", || resolved(&server) == "ResolvedRefs@1").await;
    let class = server.get("GatewayClass", "", "organza");
    assert_eq!(condition(&class["status"]["conditions"], "Accepted")["status"], "True");
    let gateway = server.get("Gateway", "shop", "gw");
    assert_eq!(gateway["status"]["listeners"][0]["attachedRoutes"], 1);
    assert_eq!(condition(&gateway["status"]["conditions"], "Programmed")["reason"], "Pending");
    // Its own words come back by the watch: no new world, and nothing is written again.
    pass(60).await;
    let generation = replica.core.world().generation;
    let mut writes = server.writes();
    writes.sort();
    let expected = [
        "a PATCH /apis/gateway.networking.k8s.io/v1/gatewayclasses/organza/status",
        "a PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways/gw/status",
        "a PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/r/status",
    ];
    assert_eq!(writes, expected);
    server.put(route("nobody"));
    until("the new status", || resolved(&server) == "BackendNotFound@2").await;
    assert_eq!(replica.core.world().generation, generation + 1);
    pass(60).await;
    let events = server.all("Event");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["reason"], &events[0]["regarding"]["name"]), (&json!("BackendNotFound"), &json!("r")));
    server.delete("Service", "shop", "web");
    until("the service is gone", || replica.services().is_empty()).await;
}

/// Each is a question to the API server: a good object's status is not to wait until all are told of.
#[tokio::test(start_paused = true)]
async fn of_many_that_are_bad_so_many_are_told_at_once_and_all_in_the_end() {
    let server = shop();
    let many = 2 * control::limits::EVENTS_AT_ONCE + 1;
    for at in 0..many {
        let mut bad = route("nobody");
        bad["metadata"]["name"] = format!("bad-{at}").into();
        server.put(bad);
    }
    let _replica = Replica::start(&server, "a");
    let told = || server.all("Event").len();
    until("a first event", || told() > 0).await;
    tokio::time::sleep(control::limits::WRITE_RETRY / 2).await;
    assert_eq!(told(), control::limits::EVENTS_AT_ONCE);
    until("all of them", || told() == many).await;
    pass(60).await;
    assert_eq!(told(), many, "each is told once");
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_is_listed_anew_and_what_went_meanwhile_is_gone() {
    let server = shop();
    server.put(service("old"));
    let replica = Replica::start(&server, "a");
    until("both", || replica.services() == ["old", "web"]).await;
    server.go();
    server.delete("Service", "shop", "old");
    server.put(service("new"));
    server.compact();
    server.come_back();
    until("the new list", || replica.services() == ["new", "web"]).await;
    until("no problem is left", || replica.problems().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_gone_takes_nothing_away_and_watches_resume() {
    let server = shop();
    let replica = Replica::start(&server, "a");
    until("a status", || resolved(&server) == "ResolvedRefs@1").await;
    pass(5).await;
    let generation = replica.core.world().generation;
    server.watches();
    server.go();
    pass(600).await;
    assert_eq!((replica.services(), replica.core.world().generation), (vec!["web".to_owned()], generation));
    assert!(replica.problems().contains(&"NotWatched".to_owned()));
    server.put(service("more"));
    server.come_back();
    until("what is new", || replica.services() == ["more", "web"]).await;
    until("no problem is left", || replica.problems().is_empty()).await;
    let resumed = server.watches();
    assert!(resumed.iter().all(|watch| !watch.ends_with(" 0")), "resumed from what it knew: {resumed:?}");
    server.put(route("nobody"));
    until("it leads again", || resolved(&server) == "BackendNotFound@2").await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_api_server_is_asked_again() {
    let server = shop();
    server.be_busy(40);
    let mut replica = Replica::start(&server, "a");
    replica.synced.wait_for(|synced| *synced).await.unwrap();
    assert_eq!(replica.services(), ["web"]);
    until("no problem is left", || replica.problems().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_the_world_before_all_of_it_is_known() {
    let server = shop();
    server.go();
    let replica = Replica::start(&server, "a");
    pass(120).await;
    assert!(!*replica.synced.borrow());
    assert!(replica.problems().contains(&"NotSynced".to_owned()));
    server.come_back();
    until("synced", || *replica.synced.borrow()).await;
}

#[tokio::test(start_paused = true)]
async fn kinds_are_taken_up_when_they_appear_and_hold_nothing_when_they_are_gone() {
    let server = shop();
    server.hide(&["Gateway", "HTTPRoute"]);
    let replica = Replica::start(&server, "a");
    until("said", || replica.problems().contains(&"NoGatewayApi".to_owned())).await;
    assert!(*replica.synced.borrow(), "what is there is served all the same");
    server.hide(&[]);
    until("a status", || resolved(&server) == "ResolvedRefs@1").await;
    assert!(!replica.problems().contains(&"NoGatewayApi".to_owned()));
    server.hide(&["HTTPRoute"]);
    let routes = || replica.core.world().resources().filter(|r| matches!(r, Resource::Route(_))).count();
    until("no route", || routes() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_just_begun_takes_no_kind_away_that_is_defined() {
    let server = shop();
    let replica = Replica::start(&server, "a");
    let routes = |replica: &Replica| replica.core.world().resources().filter(|r| matches!(r, Resource::Route(_))).count();
    until("a status", || resolved(&server) == "ResolvedRefs@1").await;
    server.unlist(&["Gateway", "HTTPRoute"]);
    until("said", || replica.problems().contains(&"Unreachable".to_owned())).await;
    pass(600).await;
    assert_eq!(routes(&replica), 1);
    // A control plane that begins meanwhile would serve a world without routes and policies.
    let other = Replica::start(&server, "b");
    pass(600).await;
    assert!(!*other.synced.borrow());
    server.unlist(&[]);
    until("synced", || *other.synced.borrow()).await;
    assert_eq!(routes(&other), 1);
    until("no problem is left", || replica.problems().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn one_replica_writes_and_when_it_dies_the_other_does() {
    let server = shop();
    let first = Replica::start(&server, "a");
    until("a leads", || resolved(&server) == "ResolvedRefs@1").await;
    let second = Replica::start(&server, "b");
    until("b knows", || second.services() == ["web"]).await;
    server.writes();
    server.put(route("nobody"));
    until("the new status", || resolved(&server) == "BackendNotFound@2").await;
    pass(60).await;
    let writes = server.writes();
    assert!(writes.iter().all(|write| write.starts_with("a ")), "{writes:?}");
    first.kill();
    server.put(route("web"));
    pass(10).await;
    assert_eq!(resolved(&server), "BackendNotFound@2", "the dead one's lease is not over yet");
    until("b leads", || resolved(&server) == "ResolvedRefs@3").await;
    let writes = server.writes();
    assert!(writes.iter().all(|write| write.starts_with("b ")), "{writes:?}");
    assert_eq!(server.get("Lease", "organza-system", "organza-control")["spec"]["holderIdentity"], "b");
}

#[tokio::test(start_paused = true)]
async fn who_ends_gives_the_lease_back() {
    let server = shop();
    let first = Replica::start(&server, "a");
    until("a leads", || resolved(&server) == "ResolvedRefs@1").await;
    first.core.end();
    first.task.await.unwrap();
    assert_eq!(server.get("Lease", "organza-system", "organza-control")["spec"].get("holderIdentity"), None);
}

/// As in a pod of the control plane's.
fn deployment() -> Option<Deployment> {
    let service_type = "LoadBalancer".to_owned();
    Some(Deployment { image: "organza:1".into(), service_type, control: None, pod_ip: Some([10, 0, 0, 7].into()) })
}

fn own_service() -> Value {
    let metadata = json!({"namespace": "organza-system", "name": "organza-control"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "10.9.0.1", "ports": [{"port": 15010}]}})
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_deployed_told_where_it_is_reached_and_has_a_proxy_let_in() {
    let server = shop();
    server.put(own_service());
    let replica = Replica::start_as(&server, "a", deployment());
    until("the Service", || server.get("Service", "shop", "gw-organza") != Value::Null).await;
    let service = server.get("Service", "shop", "gw-organza");
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    assert_eq!(service["metadata"]["ownerReferences"][0]["uid"], server.get("Gateway", "shop", "gw")["metadata"]["uid"]);
    let pod = server.get("Deployment", "shop", "gw-organza")["spec"]["template"]["spec"]["containers"][0].clone();
    assert!(pod["args"].as_array().unwrap().contains(&json!("10.9.0.1:15010")), "{pod:#}");
    assert!(server.get("ConfigMap", "shop", "gw-organza")["data"]["roots.crt"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    assert_eq!(server.get("EndpointSlice", "organza-system", "organza-control")["endpoints"][0]["addresses"][0], "10.0.0.7");
    assert_eq!(server.get("Secret", "organza-system", "organza-ca")["type"], "organza.dev/ca");
    let programmed = || {
        let gateway = server.get("Gateway", "shop", "gw");
        condition(&gateway["status"]["conditions"], "Programmed")["reason"].as_str().unwrap_or("").to_owned()
    };
    until("no address yet", || programmed() == "AddressNotAssigned").await;
    server.put_status("Service", "shop", "gw-organza", json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}));
    let address = || server.get("Gateway", "shop", "gw")["status"]["addresses"][0]["value"].clone();
    until("the address", || address() == "192.0.2.1").await;
    assert_eq!(programmed(), "Pending", "no proxy serves it");

    let client = server.client("a");
    let pod = pods::review(&client, "shop/gateway-gw/gw-1").await.unwrap();
    let identity = model::SpiffeId::new(replica.core.trust_domain.clone(), &pod.namespace, &pod.service_account).unwrap();
    let entry = replica.core.admit("gw-1.shop", &identity).unwrap();
    assert_eq!(entry.gateway().unwrap().name.as_ref(), "gw");
    assert_eq!(replica.core.admit("gw-1.shop", &identity).unwrap(), entry, "again, after a restart");
    let stream = replica.core.connected("gw-1.shop", "1".into(), false);
    replica.core.session("gw-1.shop", stream, |session| session.current = u64::MAX);
    until("programmed", || programmed() == "Programmed").await;

    let refused = |account: &str, proxy: &str| {
        let identity = model::SpiffeId::new(replica.core.trust_domain.clone(), "shop", account).unwrap();
        replica.core.admit(proxy, &identity).is_err()
    };
    assert!(refused("gateway-other", "x.shop"), "no such Gateway");
    assert!(refused("default", "x.shop"), "no service account of a Gateway");
    assert!(refused("gateway-gw", "x.other") && refused("gateway-gw", "shop"), "no pod of its namespace");
    assert!(pods::review(&client, "nonsense").await.is_err());
}

/// Proxies of the replica that is gone come one after another: meanwhile nobody is told that none has what all have.
#[tokio::test(start_paused = true)]
async fn who_leads_anew_keeps_what_was_said_of_proxies_until_they_come() {
    let server = shop();
    server.put(own_service());
    let first = Replica::start_as(&server, "a", deployment());
    until("the Service", || server.get("Service", "shop", "gw-organza") != Value::Null).await;
    server.put_status("Service", "shop", "gw-organza", json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}));
    let identity = model::SpiffeId::new(first.core.trust_domain.clone(), "shop", "gateway-gw").unwrap();
    first.core.admit("gw-1.shop", &identity).unwrap();
    let stream = first.core.connected("gw-1.shop", "1".into(), false);
    first.core.session("gw-1.shop", stream, |session| session.current = u64::MAX);
    let programmed = || condition(&server.get("Gateway", "shop", "gw")["status"]["conditions"], "Programmed")["reason"].clone();
    until("programmed", || programmed() == "Programmed").await;
    let _second = Replica::start_as(&server, "b", deployment());
    pass(5).await;
    server.writes();
    // Nobody can come to who cannot be found.
    server.forbid("/endpointslices/");
    first.kill();
    until("b leads", || server.get("Lease", "organza-system", "organza-control")["spec"]["holderIdentity"] == "b").await;
    pass(70).await;
    server.forbid("");
    pass(30).await;
    let statuses: Vec<String> = server.writes().into_iter().filter(|write| write.starts_with("b ") && write.ends_with("/status")).collect();
    assert_eq!((programmed(), statuses), (json!("Programmed"), Vec::<String>::new()));
    until("who does not come is missed", || programmed() == "Pending").await;
}

/// By the name that the specification gives.
const HELD: &str = "gateway-exists-finalizer.gateway.networking.k8s.io";

#[tokio::test(start_paused = true)]
async fn a_class_that_is_deleted_in_use_stays_until_its_last_gateway_has_gone() {
    let server = shop();
    server.put(own_service());
    let named = |mut object: Value, name: &str| {
        object["metadata"]["name"] = name.into();
        object
    };
    server.put(named(gateway(), "second"));
    // One that nobody uses any more, and that somebody else holds too; and another controller's.
    let mut idle = named(class(), "idle");
    idle["metadata"]["finalizers"] = json!(["example.com/theirs", HELD]);
    let mut theirs = named(class(), "theirs");
    theirs["spec"]["controllerName"] = "example.com/other".into();
    let mut used = named(gateway(), "used");
    used["spec"]["gatewayClassName"] = "theirs".into();
    [idle, theirs, used].into_iter().for_each(|object| server.put(object));
    let _replica = Replica::start_as(&server, "a", deployment());
    let held = |name: &str| server.get("GatewayClass", "", name)["metadata"]["finalizers"].clone();
    until("it is held", || held("organza") == json!([HELD])).await;
    until("what nobody uses is let go", || held("idle") == json!(["example.com/theirs"])).await;
    pass(60).await;
    let patched =
        |writes: &[String]| writes.iter().filter(|write| write.contains("/gatewayclasses/") && !write.ends_with("/status")).count();
    assert_eq!((held("theirs"), patched(&server.writes())), (Value::Null, 2), "each is written once");

    server.delete("GatewayClass", "", "organza");
    pass(60).await;
    let is_there = || server.get("GatewayClass", "", "organza") != Value::Null;
    let accepted = condition(&server.get("Gateway", "shop", "gw")["status"]["conditions"], "Accepted")["status"].clone();
    assert!(is_there() && accepted == "True", "{accepted}");
    server.delete("Gateway", "shop", "second");
    pass(60).await;
    assert!(is_there(), "one more uses it");
    server.delete("Gateway", "shop", "gw");
    until("it is gone", || !is_there()).await;
    pass(60).await;
    assert_eq!(patched(&server.writes()), 1);
}

/// What a watch has not told yet: that it is held already, and that by its name there is another controller's now.
#[tokio::test(start_paused = true)]
async fn a_class_is_looked_at_before_it_is_written() {
    let server = shop();
    let named = |mut object: Value, name: &str| {
        object["metadata"]["name"] = name.into();
        object
    };
    [own_service(), named(class(), "replaced")].into_iter().for_each(|object| server.put(object));
    server.keep_back("/gatewayclasses/");
    let _replica = Replica::start_as(&server, "a", deployment());
    let held = |name: &str| server.get("GatewayClass", "", name)["metadata"]["finalizers"].clone();
    until("it is held", || held("organza") == json!([HELD])).await;
    let mut theirs = named(class(), "replaced");
    theirs["spec"]["controllerName"] = "example.com/other".into();
    let mut user = named(gateway(), "second");
    user["spec"]["gatewayClassName"] = "replaced".into();
    [theirs, user].into_iter().for_each(|object| server.put(object));
    for n in 0..30 {
        // Each change has all looked at again.
        server.put(service(&format!("more-{n}")));
        pass(1).await;
    }
    let patched = server.writes().iter().filter(|write| write.contains("/gatewayclasses/") && !write.ends_with("/status")).count();
    assert_eq!((patched, held("replaced")), (1, Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lets_nobody_hold_a_class_is_tried_seldom_and_holds_nothing_else_up() {
    let server = shop();
    server.put(own_service());
    server.forbid("/gatewayclasses/");
    let _replica = Replica::start_as(&server, "a", deployment());
    until("a status", || resolved(&server) == "ResolvedRefs@1").await;
    server.writes();
    for n in 0..300 {
        // Each change has all looked at again.
        server.put(service(&format!("more-{n}")));
        pass(1).await;
    }
    let tried = server.writes().iter().filter(|write| write.contains("/gatewayclasses/") && !write.ends_with("/status")).count();
    assert!((2..=300 / control::limits::APPLY_AGAIN.as_secs() as usize + 1).contains(&tried), "{tried}");
}

#[tokio::test(start_paused = true)]
async fn who_deploys_no_gateways_holds_no_class() {
    let server = shop();
    let _replica = Replica::start(&server, "a");
    until("a status", || resolved(&server) == "ResolvedRefs@1").await;
    pass(60).await;
    assert!(server.writes().iter().all(|write| write.ends_with("/status")));
    assert_eq!(server.get("GatewayClass", "", "organza")["metadata"].get("finalizers"), None);
}

#[tokio::test(start_paused = true)]
async fn replicas_sign_under_one_root() {
    use identity::Signer;
    let server = shop();
    server.put(own_service());
    let first = Replica::start_as(&server, "a", deployment());
    until("a leads", || !server.all("Secret").is_empty()).await;
    let roots = first.core.lock().authority.roots();
    first.core.end();
    first.task.await.unwrap();
    let second = Replica::start_as(&server, "b", deployment());
    until("b leads", || second.core.lock().authority.roots() == roots).await;
}

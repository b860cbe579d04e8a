use super::super::fact::Mark;
use super::*;
use control::kubernetes::{Found, KindName};
use serde_json::json;

const NOW: u64 = 1_790_000_000;
const IMAGE: &str = "ghcr.io/organza/organza:0.1.0";

fn rule(verb: &str) -> Value {
    json!({"apiGroups": [""], "resources": ["services"], "verbs": [verb]})
}

/// A cluster in which all is well.
fn good() -> Seen {
    let some = |value: Value| Ok(Some(value));
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "message": "Well.", "observedGeneration": 3});
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let role = json!({"rules": [rule("get"), rule("list")]});
    let gateway = json!({
        "metadata": {"name": "web", "namespace": "shop", "generation": 3}, "spec": {"gatewayClassName": "organza"},
        "status": {"conditions": [condition("Accepted"), condition("Programmed"), condition("organza.dev/Applied")]},
    });
    let class = json!({
        "metadata": {"name": "organza", "generation": 1}, "spec": {"controllerName": CONTROLLER}, "status": {"conditions": [condition("Accepted")]},
    });
    Seen {
        version: some(json!({"gitVersion": "v1.37.2", "major": "1", "minor": "37"})),
        found: Ok(Found { bundle: Some(Bundle { version: "v1.6.3".into(), channel: "experimental".into() }), ..Found::default() }),
        class: some(class.clone()),
        rights: vec![("namespaces", Ok(true)), ("deployments", Ok(true))],
        namespace: some(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})),
        roles: vec![("ClusterRole organza-control".into(), role.clone(), some(role))],
        deployment: some(json!({
            "metadata": {"namespace": "organza-system"}, "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": IMAGE}]}}},
            "status": {"readyReplicas": 2},
        })),
        pods: some(json!({"items": [{"metadata": {"name": "control-a"}, "status": {"podIP": "10.0.0.7", "conditions": ready}}]})),
        lease: some(
            json!({"spec": {"holderIdentity": "control-a", "leaseDurationSeconds": 15, "renewTime": "2026-09-21T14:13:15.000000Z"}}),
        ),
        slice: some(json!({"endpoints": [{"addresses": ["10.0.0.7"]}]})),
        webhooks: vec![some(json!({"items": [{"metadata": {"name": "somebody-elses"}}]})), some(json!({"items": []}))],
        classes: some(json!({"items": [class, {"metadata": {"name": "other"}, "spec": {"controllerName": "example.com/other"}}]})),
        gateways: some(json!({"items": [gateway, {"metadata": {"name": "theirs"}, "spec": {"gatewayClassName": "other"}}]})),
    }
}

fn all(seen: &Seen, pre: bool) -> Vec<Fact> {
    let mut facts = server(seen);
    facts.extend(kinds(seen, pre));
    match pre {
        true => facts.extend(before(seen)),
        false => {
            facts.extend(control(seen, IMAGE, NOW));
            facts.extend(gateways(seen));
        }
    }
    facts
}

/// The facts that are not good, each by its mark and words; every one has a hint.
fn wrong(facts: &[Fact]) -> Vec<(Mark, String)> {
    let wrong = facts.iter().filter(|fact| fact.mark != Mark::Good);
    wrong
        .map(|fact| {
            assert!(fact.hint.is_some(), "{fact:?} says nothing of what to do");
            (fact.mark, fact.says.clone())
        })
        .collect()
}

#[test]
fn all_is_well() {
    assert_eq!(wrong(&all(&good(), false)), []);
    assert_eq!(wrong(&all(&good(), true)), []);
}

fn set(answer: &mut Answer, path: &str, value: Value) {
    *answer.as_mut().unwrap().as_mut().unwrap().pointer_mut(path).unwrap() = value;
}

/// What `install --webhook` puts there, once the leader wrote these roots.
fn webhook(roots: &str) -> Value {
    json!({"metadata": {"name": "organza"}, "webhooks": [{"clientConfig": {"caBundle": roots}}]})
}

fn answers_webhook(seen: &mut Seen) {
    let deployment = seen.deployment.as_mut().unwrap().as_mut().unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["control", "--webhook"]);
}

#[test]
fn a_webhook_that_is_answered_is_well() {
    let mut seen = good();
    answers_webhook(&mut seen);
    set(&mut seen.webhooks[0], "/items/0", webhook("cm9vdHM="));
    assert_eq!(wrong(&all(&seen, false)), []);
    assert!(webhooks(&seen).says.contains("asks what is wrong"));
}

type Break = fn(&mut Seen);

/// Each of these is one thing wrong, and one fact says so.
#[test]
fn each_thing_that_is_wrong_is_one_fact() {
    let broken: &[(Break, Mark, &str)] = &[
        (|s| set(&mut s.version, "/minor", json!("28+")), Mark::Bad, "older than v1.31"),
        (
            |s| s.found.as_mut().unwrap().missing.push(KindName { group: "gateway.networking.k8s.io".into(), kind: "HTTPRoute".into() }),
            Mark::Bad,
            "HTTPRoute",
        ),
        (
            |s| s.found.as_mut().unwrap().missing.push(KindName { group: "gateway.networking.k8s.io".into(), kind: "UDPRoute".into() }),
            Mark::Unknown,
            "UDPRoute",
        ),
        (
            |s| s.found.as_mut().unwrap().missing.push(KindName { group: "organza.dev".into(), kind: "MeshConfig".into() }),
            Mark::Bad,
            "MeshConfig",
        ),
        (|s| s.found.as_mut().unwrap().bundle.as_mut().unwrap().version = "v1.9.0".into(), Mark::Warning, "does not know"),
        (|s| s.found = Err("forbidden".into()), Mark::Unknown, "forbidden"),
        (|s| s.namespace = Ok(None), Mark::Bad, "its namespace is not there"),
        (|s| set(&mut s.namespace, "/metadata/labels", json!({})), Mark::Warning, "not enforced"),
        (|s| set(&mut s.roles[0].2, "/rules", json!([rule("get")])), Mark::Bad, "lacks 1"),
        (|s| s.roles[0].2 = Err(AskError::Refused("forbidden (403)".into())), Mark::Unknown, "forbidden"),
        (|s| set(&mut s.deployment, "/status/readyReplicas", json!(1)), Mark::Warning, "1 of 2"),
        (|s| set(&mut s.deployment, "/status/readyReplicas", json!(0)), Mark::Bad, "0 of 2"),
        (|s| set(&mut s.deployment, "/spec/template/spec/containers/0/image", json!("organza:0.0.9")), Mark::Warning, "organza:0.0.9"),
        (|s| set(&mut s.lease, "/spec/renewTime", json!("2026-09-21T14:12:00Z")), Mark::Warning, "not renewed"),
        (|s| set(&mut s.lease, "/spec/holderIdentity", json!("")), Mark::Bad, "no replica leads"),
        (|s| set(&mut s.pods, "/items/0/status/conditions/0/status", json!("False")), Mark::Warning, "is not ready"),
        (|s| set(&mut s.slice, "/endpoints/0/addresses/0", json!("10.0.0.8")), Mark::Bad, "leads to 10.0.0.8"),
        (|s| set(&mut s.slice, "/endpoints", json!([])), Mark::Bad, "nobody is behind"),
        (|s| set(&mut s.webhooks[0], "/items/0/metadata/name", json!("organza-validator")), Mark::Warning, "organza-validator"),
        // That of `install --webhook`, of a control plane that does not answer it, that nobody believes, and that nobody asks.
        (|s| set(&mut s.webhooks[0], "/items/0", webhook("cm9vdHM=")), Mark::Bad, "cannot be written"),
        (
            |s| {
                answers_webhook(s);
                set(&mut s.webhooks[0], "/items/0", webhook(""));
            },
            Mark::Bad,
            "no roots by which it believes",
        ),
        (answers_webhook, Mark::Warning, "nobody asks it"),
        (|s| set(&mut s.classes, "/items/0/status/conditions/0/status", json!("False")), Mark::Bad, "GatewayClass organza is not Accepted"),
        (|s| set(&mut s.classes, "/items/0/spec/controllerName", json!("example.com/x")), Mark::Bad, "no GatewayClass of ours"),
        (
            |s| set(&mut s.classes, "/items/0/metadata", json!({"name": "organza", "deletionTimestamp": "2026-09-21T14:13:15Z"})),
            Mark::Warning,
            "GatewayClass organza is being deleted",
        ),
        (|s| set(&mut s.gateways, "/items/0/status/conditions/1/status", json!("False")), Mark::Bad, "Gateway shop/web is not Programmed"),
        (|s| set(&mut s.gateways, "/items/0/status/conditions/2/status", json!("False")), Mark::Bad, "Gateway shop/web is not Applied"),
        (|s| set(&mut s.gateways, "/items/0/status", json!({})), Mark::Bad, "judged by nobody"),
        (|s| set(&mut s.gateways, "/items/0/metadata/generation", json!(4)), Mark::Warning, "not judged anew"),
    ];
    for (break_it, mark, says) in broken {
        let mut seen = good();
        break_it(&mut seen);
        let wrong = wrong(&all(&seen, false));
        let told = wrong.len() == 1 && wrong[0].0 == *mark && wrong[0].1.contains(says);
        assert!(told, "expected one fact {mark:?} with {says:?}, got {wrong:?}");
    }
}

/// A leader that is no pod is behind no Service either.
#[test]
fn a_leader_that_is_gone_is_told() {
    let mut seen = good();
    seen.pods = Ok(Some(json!({"items": []})));
    let wrong = wrong(&control(&seen, IMAGE, NOW));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].1.contains("no such pod"));
}

#[test]
fn what_stands_in_the_way_of_installing_is_told() {
    let mut seen = good();
    seen.rights = vec![("namespaces", Ok(true)), ("clusterroles", Ok(false)), ("services", Err(AskError::Refused("no".into())))];
    seen.class = Ok(Some(json!({"spec": {"controllerName": "example.com/other"}})));
    // CRDs of our own come with what is installed.
    seen.found.as_mut().unwrap().missing.push(KindName { group: "organza.dev".into(), kind: "MeshConfig".into() });
    let wrong = wrong(&all(&seen, true));
    let marks: Vec<Mark> = wrong.iter().map(|(mark, _)| *mark).collect();
    assert_eq!(marks, [Mark::Bad, Mark::Unknown, Mark::Bad], "{wrong:?}");
    assert!(wrong[0].1.contains("clusterroles") && wrong[2].1.contains("example.com/other"));
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-09-21T14:13:15Z"}, "spec": {"controllerName": CONTROLLER}});
    let wrong = self::wrong(&all(&Seen { class: Ok(Some(leaving)), ..good() }, true));
    assert!(wrong.len() == 1 && wrong[0].0 == Mark::Bad && wrong[0].1.contains("is being deleted"), "{wrong:?}");
}

/// Nothing is said of what cannot be known.
#[test]
fn an_api_server_that_is_away_is_one_fact() {
    let seen = Seen { version: Err(AskError::Unreachable("connection refused".into())), ..good() };
    let facts = server(&seen);
    assert_eq!((facts.len(), facts[0].mark), (1, Mark::Bad));
}

/// What this release installs is what it then asks for.
#[test]
fn roles_are_those_of_the_manifest() {
    let objects = crate::install::own_objects().unwrap();
    let rbac: Vec<&Value> = objects.iter().filter(|object| object["apiVersion"] == "rbac.authorization.k8s.io/v1").collect();
    assert_eq!(rbac.len(), 6);
    for object in rbac {
        assert_eq!(allowed("it", object, object).mark, Mark::Good);
        assert_eq!(allowed("it", object, &json!({"metadata": {}})).mark, Mark::Bad);
    }
}

use super::*;
use model::ObjectRef;

fn gateway(name: &str, spec: Value) -> Object {
    let api = "gateway.networking.k8s.io/v1";
    let mut value = json!({"apiVersion": api, "kind": "Gateway", "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    value["spec"]["gatewayClassName"] = "organza".into();
    Object::new(ObjectRef::new("gateway.networking.k8s.io", "Gateway", "shop", name), api, value)
}

fn settings() -> Settings {
    Settings {
        mesh: "default".into(),
        trust_domain: "organza.local".into(),
        image: "organza:1".into(),
        service_type: "LoadBalancer".into(),
        control: "10.0.0.9:15010".into(),
        roots: "PEM".into(),
    }
}

fn ports(numbers: &[(u16, bool)]) -> BTreeSet<Port> {
    numbers.iter().map(|(number, is_udp)| Port { number: *number, is_udp: *is_udp }).collect()
}

#[test]
fn names_can_name_a_service_and_tell_gateways_apart() {
    let named = |text: &str| name(&gateway(text, json!({})));
    assert_eq!(named("web"), "web-organza");
    let odd = ["7up", "a.b", "a-b.c", &"x".repeat(80), &"x".repeat(81)];
    let names: BTreeSet<String> = odd.iter().map(|text| named(text)).collect();
    assert_eq!(names.len(), odd.len());
    for name in names {
        assert!(name.len() <= 63 && name.starts_with("gw-") && !name.contains('.'), "{name}");
    }
}

#[test]
fn everything_is_the_gateways_own_and_carries_its_labels() {
    let infrastructure = json!({"labels": {"team": "shop", GATEWAY_LABEL: "stolen"}, "annotations": {"note": "x"}});
    let gateway = gateway("web", json!({ "infrastructure": infrastructure }));
    let made = objects(&gateway, "u-1", &ports(&[(80, false), (53, true)]), &settings(), &Deployed::default());
    let kinds: Vec<_> =
        made.iter().map(|o| format!("{} {}", o["kind"].as_str().unwrap(), o["metadata"]["name"].as_str().unwrap())).collect();
    assert_eq!(
        kinds,
        [
            "ServiceAccount gateway-web",
            "ConfigMap web-organza",
            "Deployment web-organza",
            "Service web-organza",
            "PodDisruptionBudget web-organza"
        ]
    );
    for object in &made {
        let metadata = &object["metadata"];
        assert_eq!(metadata["ownerReferences"][0]["uid"], "u-1");
        assert_eq!((&metadata["labels"]["team"], &metadata["labels"][GATEWAY_LABEL]), (&json!("shop"), &json!("web")));
        assert_eq!(metadata["annotations"]["note"], "x");
    }
    let pod = &made[2]["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"]["team"], "shop");
    assert_eq!(made[2]["spec"]["replicas"], Value::Null, "an autoscaler may set them");
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"], "2Gi", "its lines fill no node");
    assert_eq!(pod["spec"]["volumes"][2]["projected"]["sources"][0]["serviceAccountToken"]["audience"], AUDIENCE);
    assert_eq!(
        made[4]["spec"],
        json!({"maxUnavailable": 1, "selector": made[2]["spec"]["selector"]}),
        "machines are emptied one after another"
    );
    let service = &made[3]["spec"];
    assert_eq!(service["ports"][0], json!({"name": "udp-53", "port": 53, "targetPort": 53, "protocol": "UDP"}));
    assert_eq!(service["selector"], json!({GATEWAY_LABEL: "web"}));
    assert_eq!(service["selector"], made[2]["spec"]["selector"]["matchLabels"]);
}

#[test]
fn scrapers_find_each_pod_and_no_listeners_port_is_taken_for_it() {
    let infrastructure = json!({"annotations": {"prometheus.io/scrape": "false"}});
    let whose = |spec: Value, taken: &[(u16, bool)]| {
        let made = objects(&gateway("web", spec), "u", &ports(taken), &settings(), &Deployed::default());
        let template = made[2]["spec"]["template"].clone();
        let container = template["spec"]["containers"][0].clone();
        let args = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>();
        let told = args.windows(2).find(|pair| pair[0] == "--metrics").unwrap()[1].to_owned();
        let service = &made[3];
        assert!(service["metadata"]["annotations"].get("prometheus.io/port").is_none(), "of many pods it would reach one");
        assert!(service["spec"]["ports"].as_array().unwrap().iter().all(|port| port["name"] != "metrics"), "{service}");
        let annotations = &template["metadata"]["annotations"];
        (told, annotations["prometheus.io/port"].clone(), annotations["prometheus.io/scrape"].clone(), container["ports"][0].clone())
    };
    let port = |number: u16| json!({"name": "metrics", "containerPort": number, "protocol": "TCP"});
    let usual = ("0.0.0.0:15014".to_owned(), json!("15014"), json!("true"), port(15_014));
    assert_eq!(whose(json!({}), &[(80, false), (15_014, true)]), usual);
    let (told, _, scrape, own) = whose(json!({ "infrastructure": infrastructure }), &[(15_014, false), (15_015, false)]);
    assert_eq!((told.as_str(), scrape, own), ("0.0.0.0:15016", json!("false"), port(15_016)), "who wants no scraper says so");
}

/// Pod Security Standards, profile `restricted`.
#[test]
fn pods_ask_for_no_privilege() {
    let made = objects(&gateway("web", json!({})), "u", &BTreeSet::new(), &settings(), &Deployed::default());
    assert_eq!(made.len(), 4, "a Service has a port at least");
    let pod = &made[2]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    let expected = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(*container, expected);
}

#[test]
fn static_addresses_are_asked_for() {
    let gateway = gateway("web", json!({"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]}));
    let made = objects(&gateway, "u", &ports(&[(80, false)]), &settings(), &Deployed::default());
    assert_eq!(made[3]["spec"]["loadBalancerIP"], "192.0.2.7");
}

#[test]
fn a_gateway_for_the_cluster_alone_gets_no_balancer_whatever_its_parameters_say() {
    let gateway = gateway("web", json!({"addresses": [{"type": "IPAddress", "routability": "Cluster"}]}));
    let service = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}).as_object().cloned().unwrap();
    let asked = Deployed { service, ..Deployed::default() };
    let made = objects(&gateway, "u", &ports(&[(80, false)]), &settings(), &asked);
    assert_eq!(made[3]["spec"]["type"], "ClusterIP");
    assert!(made[3]["spec"].get("externalTrafficPolicy").is_none(), "a Service of that type has none, and would be refused");
}

#[test]
fn parameters_say_how_many_there_are_and_where_they_run() {
    let map = |value: Value| value.as_object().cloned().unwrap();
    let deployment = json!({
        "replicas": 3, "nodeSelector": {"edge": "yes"}, "priorityClassName": "high", "resources": {"limits": {"memory": "1Gi"}},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
    });
    let service = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["192.0.2.0/24"], "annotations": {"cloud": "nlb"},
    });
    let asked = Deployed { deployment: map(deployment.clone()), service: map(service.clone()) };
    let gateway = gateway("web", json!({"infrastructure": {"annotations": {"note": "x"}}}));
    let made = objects(&gateway, "u", &ports(&[(80, false)]), &settings(), &asked);
    assert_eq!(made[2]["spec"]["replicas"], 3);
    let pod = &made[2]["spec"]["template"]["spec"];
    for field in ["nodeSelector", "priorityClassName", "tolerations"] {
        assert_eq!(pod[field], deployment[field]);
    }
    assert_eq!(pod["containers"][0]["resources"], deployment["resources"]);
    for field in ["type", "externalTrafficPolicy", "loadBalancerSourceRanges"] {
        assert_eq!(made[3]["spec"][field], service[field]);
    }
    assert_eq!(made[3]["metadata"]["annotations"], json!({"note": "x", "cloud": "nlb"}));
    assert_eq!(made[2]["metadata"]["annotations"], json!({"note": "x"}));
    let plain =
        Deployed { service: map(json!({"type": "ClusterIP", "externalTrafficPolicy": "Local", "loadBalancerClass": "x"})), ..asked };
    let made = objects(&gateway, "u", &ports(&[(80, false)]), &settings(), &plain);
    assert_eq!(made[3]["spec"]["type"], "ClusterIP");
    assert!(made[3]["spec"].get("externalTrafficPolicy").or(made[3]["spec"].get("loadBalancerClass")).is_none(), "{}", made[3]);
}

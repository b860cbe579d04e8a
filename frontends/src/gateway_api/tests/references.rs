//! What is referred to: certificates, outside hosts, endpoints of Services without selector.

use super::told;
use crate::tests::*;
use model::backend::{ExternalName, Shown, UpstreamRoots};
use model::*;
use serde_json::{Value, json};

/// DER of the smallest sequence, as PEM: enough to be no mistake of the user's.
fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\nMAMCAQE=\n-----END {label}-----\n")
}

fn secret(namespace: &str, kind: &str, certificate: &str, key: &str) -> crate::Object {
    object("v1", "Secret", (namespace, "s"), json!({"type": kind, "stringData": {"tls.crt": certificate, "tls.key": key}}))
}

fn secured(reference: Value) -> crate::Object {
    gateway(json!([{"name": "web", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [reference]}}]))
}

fn first(t: &crate::Translation) -> &ListenerStatus {
    t.statuses.iter().find_map(|status| status.listeners.first()).unwrap()
}

fn resolved(t: &crate::Translation) -> String {
    told(&first(t).conditions)[1].clone()
}

fn certificates(t: &crate::Translation) -> usize {
    t.resources.iter().filter(|r| matches!(r, Resource::Certificate(_))).count()
}

#[test]
fn a_listener_shows_the_certificate_of_its_secret() {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let data = json!({"tls.crt": encode(&pem("CERTIFICATE")), "tls.key": encode(&pem("PRIVATE KEY"))});
    let secret = object("v1", "Secret", ("a", "s"), json!({"type": "kubernetes.io/tls", "data": data}));
    let t = run(&[secured(json!({"name": "s"})), secret, route("a", json!({"parentRefs": [{"name": "gw"}], "rules": [{}]}))]);
    let listener = t.resources.iter().find_map(|r| if let Resource::Listener(l) = r { Some(l) } else { None }).unwrap();
    assert_eq!((listener.protocol, &listener.broken), (ListenerProtocol::Https, &None));
    let certificate = t.resources.iter().find_map(|r| if let Resource::Certificate(c) = r { Some(c) } else { None }).unwrap();
    assert_eq!(listener.tls.as_ref().unwrap().certificates, std::slice::from_ref(&certificate.key));
    assert_eq!(&*certificate.private_key, pem("PRIVATE KEY").as_bytes());
    assert_eq!((verdict(&t).as_str(), resolved(&t).as_str()), ("Accepted=True ResolvedRefs=True", "ResolvedRefs=True/ResolvedRefs"));
}

#[test]
fn references_to_what_is_no_certificate_are_refused_and_still_take_routes() {
    let (crt, key) = (pem("CERTIFICATE"), pem("EC PRIVATE KEY"));
    let tls = "kubernetes.io/tls";
    let cases = [
        (json!({"name": "gone"}), secret("a", tls, &crt, &key), "name"),
        (json!({"name": "s"}), secret("a", "Opaque", &crt, &key), "name"),
        (json!({"name": "s"}), secret("a", tls, "Hello world", &key), "name"),
        (json!({"name": "s"}), secret("a", tls, &crt, &crt), "name"),
        (json!({"name": "s"}), secret("a", tls, "-----BEGIN CERTIFICATE-----\nMAMCAQ==\n-----END CERTIFICATE-----\n", &key), "name"),
        (json!({"name": "s", "kind": "ConfigMap"}), secret("a", tls, &crt, &key), "kind"),
        (json!({"name": "s", "group": "x.example"}), secret("a", tls, &crt, &key), "group"),
    ];
    for (reference, secret, field) in cases {
        let t = run(&[secured(reference.clone()), secret, route("a", json!({"parentRefs": [{"name": "gw"}], "rules": [{}]}))]);
        assert_eq!(resolved(&t), "ResolvedRefs=False/InvalidCertificateRef", "{reference}");
        assert_eq!(t.reports[0].path_text(), format!("spec.listeners[0].tls.certificateRefs[0].{field}"));
        assert_eq!((certificates(&t), first(&t).attached_routes), (0, 1));
        assert!(t.resources.iter().any(|r| matches!(r, Resource::Listener(l) if l.broken.is_some())));
    }
}

#[test]
fn certificates_of_other_namespaces_need_a_grant() {
    let mut objects =
        vec![secured(json!({"name": "s", "namespace": "b"})), secret("b", "kubernetes.io/tls", &pem("CERTIFICATE"), &pem("PRIVATE KEY"))];
    assert_eq!(resolved(&run(&objects)), "ResolvedRefs=False/RefNotPermitted");
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "a"}]);
    let grant = |name: &str| {
        object(API, "ReferenceGrant", ("b", "g"), json!({"spec": {"from": from, "to": [{"group": "", "kind": "Secret", "name": name}]}}))
    };
    objects.push(grant("other"));
    assert_eq!(resolved(&run(&objects)), "ResolvedRefs=False/RefNotPermitted");
    objects[2] = grant("s");
    let t = run(&objects);
    assert_eq!((resolved(&t).as_str(), certificates(&t)), ("ResolvedRefs=True/ResolvedRefs", 1));
}

#[test]
fn bytes_are_routed_by_listener_and_server_name() {
    let gw = gateway(json!([
        {"name": "sni", "port": 8443, "protocol": "TLS", "hostname": "*.example", "tls": {"mode": "Passthrough"}},
        {"name": "bytes", "port": 9000, "protocol": "TCP"},
        {"name": "web", "port": 80, "protocol": "HTTP"}]));
    let rules = json!([{"backendRefs": [{"name": "s", "port": 80, "weight": 3}]}]);
    let of = |kind: &str, name: &str, spec: Value| object(API, kind, ("a", name), json!({"spec": spec}));
    let tls =
        of("TLSRoute", "t", json!({"parentRefs": [{"name": "gw", "sectionName": "sni"}], "hostnames": ["x.example"], "rules": rules}));
    let tcp = of("TCPRoute", "t", json!({"parentRefs": [{"name": "gw", "sectionName": "bytes"}], "rules": rules}));
    let web = of("TCPRoute", "u", json!({"parentRefs": [{"name": "gw", "sectionName": "sni"}], "rules": rules}));
    let t = run(&[gw, service("a", "s"), tls, tcp, web]);
    let found: Vec<_> = routes(&t).iter().map(|r| (r.protocol, r.attachments[0].hosts[0].clone(), r.rules[0].backends[0].weight)).collect();
    assert_eq!(found, [(RouteProtocol::Tcp, HostPattern::Any, 3), (RouteProtocol::Tls, HostPattern::parse("x.example").unwrap(), 3)]);
    let refused = t.statuses.iter().find(|s| &*s.object.name == "u").unwrap();
    assert_eq!(told(&refused.parents[0].conditions)[0], "Accepted=False/NotAllowedByListeners");
}

#[test]
fn listeners_share_a_port_where_connections_can_be_told_apart() {
    let https = |host: &str| json!({"protocol": "HTTPS", "hostname": host});
    let tls = |mode: &str, host: &str| json!({"protocol": "TLS", "hostname": host, "tls": {"mode": mode}});
    let plain = |protocol: &str| json!({"protocol": protocol});
    for (one, two, want) in [
        (https("a.example"), tls("Passthrough", "b.example"), "True/Accepted"),
        (https("a.example"), tls("Terminate", "*.example"), "True/Accepted"),
        (tls("Terminate", "a.example"), tls("Passthrough", "b.example"), "True/Accepted"),
        (tls("Terminate", "a.example"), tls("Passthrough", "a.example"), "False/HostnameConflict"),
        (https("a.example"), tls("Passthrough", "a.example"), "False/HostnameConflict"),
        (plain("TCP"), tls("Passthrough", "a.example"), "False/ProtocolConflict"),
        (plain("TCP"), https("a.example"), "False/ProtocolConflict"),
        (plain("TCP"), plain("HTTP"), "False/ProtocolConflict"),
        (plain("TCP"), plain("TCP"), "False/HostnameConflict"),
        (plain("HTTP"), https("a.example"), "False/ProtocolConflict"),
        (plain("UDP"), plain("TCP"), "True/Accepted"),
        (plain("UDP"), https("a.example"), "True/Accepted"),
        (plain("UDP"), plain("UDP"), "False/HostnameConflict"),
    ] {
        let mut listeners = [one.clone(), two.clone()];
        for (name, listener) in ["one", "two"].iter().zip(&mut listeners) {
            listener["name"] = json!(name);
            listener["port"] = json!(443);
        }
        let t = run(&[gateway(json!(listeners))]);
        for listener in &t.statuses[0].listeners {
            assert_eq!(told(&listener.conditions)[0], format!("Accepted={want}"), "{one} {two}");
        }
    }
}

#[test]
fn options_of_tls_that_nobody_knows_are_not_left_out() {
    let options = json!({"x.example/min-version": "1.3"});
    let t = run(&[gateway(json!([{"name": "web", "port": 443, "protocol": "HTTPS", "tls": {"options": options}}]))]);
    assert_eq!(told(&first(&t).conditions)[0], "Accepted=False/UnsupportedValue");
}

/// A route on a Service to this XBackend.
fn outside(spec: Value) -> crate::Translation {
    let backend = object("gateway.networking.x-k8s.io/v1alpha1", "XBackend", ("a", "x"), json!({"spec": spec}));
    let reference = json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "x"});
    let rules = json!([{"backendRefs": [reference]}]);
    let roots = object("v1", "ConfigMap", ("a", "roots"), json!({"data": {"ca.crt": pem("CERTIFICATE")}}));
    let parents = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let data = json!({"tls.crt": pem("CERTIFICATE"), "tls.key": pem("PRIVATE KEY")});
    let secret = object("v1", "Secret", ("a", "c"), json!({"type": "kubernetes.io/tls", "stringData": data}));
    run(&[service("a", "s"), backend, roots, secret, route("a", json!({"parentRefs": parents, "rules": rules}))])
}

#[test]
fn outside_hosts_are_backends() {
    let spec = |tls: Value| json!({"type": "ExternalHostname", "externalHostname": {"hostname": "api.example"}, "port": {"port": 443}, "protocol": "HTTP", "tls": tls});
    let host = |t: &crate::Translation| match &routes(t)[0].rules[0].backends[0].backend {
        Backend::External(host) => host.clone(),
        other => panic!("{other:?}"),
    };
    let plain = host(&outside(spec(json!({"mode": "None"}))));
    assert_eq!(
        (&plain.host, plain.port, plain.protocol),
        (&ExternalName::Dns(Hostname::parse("api.example").unwrap()), 443, AppProtocol::Http)
    );
    assert!(plain.tls.is_none());
    let system = json!({"mode": "ServerOnly", "validation": {"hostname": "api.example", "wellKnownCACertificates": "System",
        "subjectAltNames": [{"type": "URI", "uri": "spiffe://x/y"}]}});
    let tls = host(&outside(spec(system))).tls.clone().unwrap();
    assert_eq!((&tls.roots, &*tls.subject_alt_names[0]), (&UpstreamRoots::System, "spiffe://x/y"));
    assert_eq!(tls.shown, Shown::Nothing);
    let both = json!({"mode": "ClientAndServer", "clientCertificateRef": {"name": "c"}, "validation": {"hostname": "a.example", "wellKnownCACertificates": "System"}});
    let t = outside(spec(both));
    let keys: Vec<_> =
        t.resources.iter().filter_map(|r| if let Resource::Certificate(c) = r { Some(c.key.clone()) } else { None }).collect();
    assert_eq!(host(&t).tls.as_ref().map(|tls| &tls.shown), Some(&Shown::Own(keys[0].clone())));
    let given = json!({"mode": "ServerOnly", "validation": {"hostname": "b.example", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "roots"}]}});
    let tls = host(&outside(spec(given))).tls.clone().unwrap();
    assert!(tls.server_name.as_str() == "b.example" && matches!(&tls.roots, UpstreamRoots::Given(pem) if pem.starts_with(b"-----BEGIN")));
}

#[test]
fn outside_hosts_that_cannot_be_called_as_asked_are_not_called() {
    let base = json!({"type": "ExternalHostname", "externalHostname": {"hostname": "api.example"}, "port": {"port": 443}});
    let cases = [
        ("externalHostname", json!({"hostname": "10.0.0.1"}), "spec.externalHostname.hostname", "UnsupportedValue"),
        ("externalHostname", json!({"hostname": "s.a.svc.cluster.local"}), "spec.externalHostname.hostname", "UnsupportedValue"),
        ("type", json!("Odd"), "spec.type", "UnsupportedValue"),
        ("protocol", json!("MCP"), "spec.protocol", "UnsupportedValue"),
        ("tls", json!({"mode": "Odd"}), "spec.tls.mode", "UnsupportedValue"),
        (
            "tls",
            json!({"mode": "ClientAndServer", "clientCertificateRef": {"name": "no"}, "validation": {"hostname": "a.example", "wellKnownCACertificates": "System"}}),
            "spec.tls.clientCertificateRef.name",
            "InvalidClientCertificateRef",
        ),
        ("tls", json!({"mode": "ServerOnly", "validation": {"hostname": "a.example"}}), "spec.tls.validation", "UnsupportedValue"),
        (
            "tls",
            json!({"mode": "ServerOnly", "validation": {"hostname": "a.example", "caCertificateRefs": [{"kind": "ConfigMap", "name": "no"}]}}),
            "spec.tls.validation.caCertificateRefs[0].name",
            "InvalidCACertificateRef",
        ),
    ];
    for (field, value, place, reason) in cases {
        let mut spec = base.clone();
        spec[field] = value;
        let t = outside(spec);
        assert_eq!(verdict(&t), "Accepted=True UnsupportedValue=False", "{place}");
        assert_eq!((t.reports[0].path_text().as_str(), &*t.reports[0].reason), (place, reason));
        let status = t.statuses.iter().find(|s| &*s.object.kind == "XBackend").unwrap();
        assert_eq!(told(&status.conditions), [format!("Accepted=False/{reason}")]);
    }
    let mut bytes = base;
    bytes["protocol"] = json!("TCP");
    assert_eq!(verdict(&outside(bytes)), "Accepted=True UnsupportedProtocol=False");
}

#[test]
fn an_xbackend_says_who_leads_there_and_names_so_many() {
    let api = "gateway.networking.x-k8s.io/v1alpha1";
    let spec = json!({"type": "ExternalHostname", "externalHostname": {"hostname": "api.example"}, "port": {"number": 443}});
    let backend = |name: &str, spec: &Value| object(api, "XBackend", ("a", name), json!({ "spec": spec }));
    let to = |name: &str| json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": name});
    let named = |name: &str, parents: Value, rule: Value| {
        object(API, "HTTPRoute", ("a", name), json!({"spec": {"parentRefs": parents, "rules": [rule]}}))
    };
    let led = |objects: &[crate::Object], name: &str| -> Vec<String> {
        let t = run(objects);
        let status = t.statuses.iter().find(|s| &*s.object.kind == "XBackend" && *s.object.name == *name).unwrap();
        status.parents.iter().map(|p| format!("{} {}", p.parent, told(&p.conditions).join(" "))).collect()
    };
    let door = gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    let edge = json!([{"name": &*door.object.name}]);
    let mesh = json!([{"group": "", "kind": "Service", "name": "s"}]);
    let copied = json!({"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": to("good")}}], "backendRefs": [{"name": "s", "port": 80}]});
    let objects = [
        door.clone(),
        service("a", "s"),
        backend("good", &spec),
        backend("broken", &json!({"type": "MCP"})),
        backend("alone", &spec),
        named("one", edge.clone(), json!({"backendRefs": [to("broken")]})),
        named("two", mesh, copied),
        named("three", json!([{"name": "nobodys"}]), json!({"backendRefs": [to("alone")]})),
    ];
    assert_eq!(led(&objects, "good"), ["Service a/s Accepted=True/Accepted"]);
    assert_eq!(led(&objects, "broken"), [format!("{} Accepted=False/UnsupportedValue", door.object)]);
    assert!(led(&objects, "alone").is_empty(), "nobody serves what leads there");
    let many = (0..=crate::limits::BACKEND_ANCESTORS).map(|i| service("a", &format!("s{i}")));
    let mesh: Vec<Value> =
        (0..=crate::limits::BACKEND_ANCESTORS).map(|i| json!({"group": "", "kind": "Service", "name": format!("s{i}")})).collect();
    let all: Vec<_> = many.chain([backend("good", &spec), named("one", json!(mesh), json!({"backendRefs": [to("good")]}))]).collect();
    assert_eq!(led(&all, "good").len(), crate::limits::BACKEND_ANCESTORS);
}

fn slice(kind: &str, addresses: Value) -> crate::Object {
    let endpoints = json!([{"addresses": addresses, "conditions": {"ready": true}, "zone": "z"}]);
    let body = json!({"addressType": kind, "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]});
    let mut made = object("discovery.k8s.io/v1", "EndpointSlice", ("a", "s-1"), body);
    std::sync::Arc::make_mut(&mut made.value)["metadata"]["labels"] = json!({"kubernetes.io/service-name": "s"});
    made
}

#[test]
fn a_service_without_selector_is_what_its_slices_say() {
    for (kind, address) in [("IPv4", "10.1.2.3"), ("IPv6", "2001:db8::1")] {
        let t = run(&[service("a", "s"), slice(kind, json!([address]))]);
        let all = t.resources.iter().find_map(|r| if let Resource::Endpoints(e) = r { Some(e) } else { None }).unwrap();
        let [endpoint] = &all.endpoints[..] else { panic!("{all:?}") };
        assert_eq!(
            (endpoint.address.to_string().as_str(), endpoint.target_port(80), &endpoint.tunnel),
            (address, Some(8080), &Tunnel::None)
        );
        assert!(endpoint.identity.is_none() && &*endpoint.locality.zone == "z" && t.reports.is_empty());
    }
}

#[test]
fn slices_that_nobody_can_use_are_reported() {
    let place = |objects: &[crate::Object]| run(objects).reports.iter().map(Report::path_text).collect::<Vec<_>>();
    assert_eq!(place(&[service("a", "s"), slice("FQDN", json!(["a.example"]))]), ["addressType"]);
    assert_eq!(place(&[service("a", "s"), slice("IPv4", json!(["10.0.0.1:80"]))]), ["endpoints[0].addresses[0]"]);
    assert_eq!(place(&[slice("IPv4", json!(["10.0.0.1"]))]), ["metadata.labels.kubernetes.io/service-name"]);
    let t = run(&[service("a", "s"), slice("FQDN", json!(["10.0.0.1"]))]);
    assert!(t.resources.iter().any(|r| matches!(r, Resource::Endpoints(e) if e.endpoints.is_empty())));
}

#[test]
fn names_of_other_hosts_are_not_followed() {
    let body = json!({"spec": {"type": "ExternalName", "externalName": "internal.example", "ports": [{"port": 80}]}});
    let spec =
        json!({"parentRefs": [{"group": "", "kind": "Service", "name": "s"}], "rules": [{"backendRefs": [{"name": "n", "port": 80}]}]});
    let t = run(&[service("a", "s"), object("v1", "Service", ("a", "n"), body), route("a", spec)]);
    assert_eq!(verdict(&t), "Accepted=True UnsupportedValue=False");
}

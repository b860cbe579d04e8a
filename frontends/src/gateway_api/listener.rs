//! One listener of a Gateway: what it speaks, which routes it takes, and why it may be refused. What is refused or conflicts with
//! another serves nothing and takes no route; it is never served by guess or in the clear.

use super::before::Before;
use super::clients::Asked;
use super::{GROUP, certificate, condition};
use crate::Object;
use crate::kubernetes::{Inventory, labels_at, port, text};
use crate::wrong::Wrong;
use model::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A listener while routes are attached to it.
pub struct Door {
    pub gateway: ObjectRef,
    /// Where it is written, and what routes attach to: the Gateway, or a ListenerSet of it.
    pub owner: ObjectRef,
    pub listener: Listener,
    pub attached: u32,
    /// Hosts of the routes attached, for HTTPRoutes and GRPCRoutes must not share any.
    claims: BTreeMap<&'static str, BTreeSet<HostPattern>>,
    /// Why it is not accepted.
    pub refused: Option<Wrong>,
    /// Its references that lead nowhere.
    pub unresolved: Vec<Wrong>,
    /// Authorities for clients' certificates that lead nowhere; they are the Gateway's own, and reported there.
    unvouched: Vec<Wrong>,
    pub conflict: Option<&'static str>,
    /// What it shows to those who knock by TLS.
    pub certificates: Vec<Certificate>,
    pub index: usize,
    from: Value,
    kinds: Vec<&'static str>,
}

impl Door {
    /// `owner` is the Gateway itself, or a ListenerSet.
    pub fn read(owner: &Object, gateway: &Object, index: usize, value: &Value, inventory: &Inventory) -> Result<Self, Wrong> {
        // Without these there is nothing that a status could be of.
        let section =
            text(value, "name").filter(|name| !name.is_empty()).ok_or_else(|| Wrong::value("The listener has no name.").at("name"))?;
        let number = port(value, "port").ok_or_else(|| Wrong::value("The listener has no port from 1 to 65535.").at("port"))?;
        // Listeners of a set share no name with those of a Gateway, whatever the two are called.
        let joint = if owner.object == gateway.object { '.' } else { '+' };
        let name = format!("{}{joint}{section}", owner.object.name);
        let (protocol, mut refused) = match protocol(value) {
            Ok(protocol) => (protocol, None),
            Err((protocol, wrong)) => (protocol, Some(wrong)),
        };
        let named =
            text(value, "hostname").filter(|host| !host.is_empty() && !matches!(protocol, ListenerProtocol::Tcp | ListenerProtocol::Udp));
        let hostname = named.map_or(Ok(HostPattern::Any), HostPattern::parse).unwrap_or_else(|e| {
            let wrong = Wrong::value(format!("The host name {:?} {e}.", named.unwrap_or("")));
            refused.get_or_insert(wrong.at("hostname"));
            HostPattern::Any
        });
        let (kinds, mut unresolved) = read_kinds(value.pointer("/allowedRoutes/kinds"), protocol, refused.is_none());
        let terminates = matches!(protocol, ListenerProtocol::Https | ListenerProtocol::TlsTerminate) && refused.is_none();
        let certificates = if terminates { read_certificates(value, owner, inventory, &mut unresolved) } else { Vec::new() };
        let key = |kind, of: &Object, name: &str| Key::new(Source::files(), kind, &of.object.namespace, name);
        Ok(Self {
            gateway: gateway.object.clone(),
            owner: owner.object.clone(),
            listener: Listener {
                key: key(Kind::Listener, owner, &name),
                origin: owner.origin(),
                gateway: key(Kind::Gateway, gateway, &gateway.object.name),
                section: section.into(),
                addresses: gateway.list("/spec/addresses").iter().filter_map(|a| text(a, "value")?.parse().ok()).collect(),
                port: number,
                protocol,
                hostname,
                tls: terminates
                    .then(|| ListenerTls { certificates: certificates.iter().map(|c| c.key.clone()).collect(), ..ListenerTls::default() }),
                normalisation: Normalisation::default(),
                front: model::Front::default(),
                shown: GatewayCertificate::default(),
                asks: Vec::new(),
                broken: None,
            },
            attached: 0,
            claims: BTreeMap::new(),
            refused,
            unresolved,
            unvouched: Vec::new(),
            certificates,
            conflict: None,
            index,
            from: value.pointer("/allowedRoutes/namespaces").cloned().unwrap_or_default(),
            kinds,
        })
    }

    /// Sets what clients must show, where HTTPS is spoken. With no authority to believe them by, the listener is closed.
    pub fn ask(&mut self, asked: &Asked) {
        let Some(tls) = self.listener.tls.as_mut().filter(|_| self.listener.protocol == ListenerProtocol::Https) else { return };
        self.unvouched = asked.wrong.clone();
        match &asked.clients {
            Some(clients) => tls.clients = clients.clone(),
            None => {
                tls.certificates.clear();
                let wrong =
                    Wrong::new("NoValidCACertificate", "No authority can be read that vouches for clients; the listener is closed.");
                self.refused.get_or_insert(wrong.fix("Mend spec.tls.frontend of the Gateway.").at("tls"));
            }
        }
    }

    /// Sets what is done with requests before they are routed.
    pub fn guard(&mut self, before: Before) {
        self.listener.asks = before.asks;
        if self.refused.is_none() {
            self.refused = before.refused;
        }
        self.unresolved.extend(before.unresolved);
    }

    pub fn is_insecure(&self) -> bool {
        self.listener.tls.as_ref().is_some_and(|tls| matches!(tls.clients, ClientCertificates::Insecure(_)))
    }

    /// References that lead nowhere, the Gateway's own for this listener among them.
    pub fn dangling(&self) -> impl Iterator<Item = &Wrong> {
        self.unresolved.iter().chain(&self.unvouched)
    }

    pub fn accepted(&self) -> bool {
        self.refused.is_none() && self.conflict.is_none()
    }

    pub fn admits(&self, kind: &str, namespace: &str, inventory: &Inventory) -> bool {
        let namespaces = allows(&self.from, "Same", &self.owner.namespace, namespace, inventory);
        namespaces && self.kinds.contains(&kind)
    }

    /// Remembers hosts of a route that was attached.
    pub fn claim(&mut self, protocol: RouteProtocol, hosts: &[HostPattern]) {
        if let Some((own, _)) = rivals(protocol) {
            self.claims.entry(own).or_default().extend(hosts.iter().cloned());
        }
    }

    /// Whether a route of the other kind already has one of these hosts.
    pub fn contested(&self, protocol: RouteProtocol, hosts: &[HostPattern]) -> bool {
        let claimed = rivals(protocol).and_then(|(_, other)| self.claims.get(other));
        claimed.into_iter().flatten().any(|claimed| hosts.iter().any(|host| host.intersect(claimed).is_some()))
    }

    /// Settles what cannot be served, once conflicts and references are known.
    pub fn settle(&mut self) {
        let refused = self.refused.as_ref().map(|wrong| wrong.reason);
        // One good certificate or one known kind is enough to serve.
        let bare = self.listener.tls.is_some() && self.certificates.is_empty();
        let useless = |wrong: &&Wrong| if wrong.reason == INVALID_KINDS { self.kinds.is_empty() } else { bare };
        let dangling = self.unresolved.iter().find(useless).map(|wrong| wrong.reason);
        self.listener.broken = self.conflict.or(refused).or(dangling).map(Arc::from);
    }

    pub fn reports(&self) -> Vec<Report> {
        let conflict = self.conflict.map(|reason| {
            let wrong = Wrong::new(reason, self.conflict_message());
            let (field, fix) = match reason {
                "HostnameConflict" => ("hostname", "Give each listener of the port a host name of its own."),
                _ => ("protocol", "Give the listeners ports of their own."),
            };
            wrong.fix(fix).at(field)
        });
        let all = conflict.iter().chain(&self.refused).chain(&self.unresolved);
        all.map(|wrong| wrong.clone().item(self.index).at("listeners").at("spec").report(&self.owner)).collect()
    }

    fn conflict_message(&self) -> String {
        let what = if self.conflict == Some("HostnameConflict") { "the same host name" } else { "another protocol" };
        let which = if self.owner == self.gateway { "neither is served" } else { "it goes before" };
        format!("Another listener has port {} with {what}; {which}.", self.listener.port)
    }

    pub fn status(&self) -> ListenerStatus {
        let conflict = self.conflict_message();
        let refusal = self.conflict.map(|reason| (reason, conflict.as_str()));
        let refusal = refusal.or(self.refused.as_ref().map(|wrong| (wrong.reason, wrong.message.as_str())));
        let accepted = match refusal {
            Some((reason, message)) => condition("Accepted", false, reason, message),
            None => condition("Accepted", true, "Accepted", "The listener is valid."),
        };
        let resolved = match self.dangling().next() {
            None => condition("ResolvedRefs", true, "ResolvedRefs", "All references lead somewhere."),
            Some(first) => {
                let all: Vec<&str> = self.dangling().map(|wrong| wrong.message.as_str()).collect();
                condition("ResolvedRefs", false, first.reason, &all.join(" "))
            }
        };
        let programmed = match (self.conflict, &self.listener.broken) {
            (Some(reason), _) => condition("Programmed", false, reason, &conflict),
            (None, Some(_)) => condition("Programmed", false, "Invalid", "The listener serves nothing until it is mended."),
            (None, None) => condition("Programmed", false, "Pending", "No proxy has said yet that it serves the listener."),
        };
        let conflicted = match self.conflict {
            Some(reason) => condition("Conflicted", true, reason, &conflict),
            None => condition("Conflicted", false, "NoConflicts", "No other listener claims the same."),
        };
        ListenerStatus {
            name: self.listener.section.clone(),
            supported_kinds: self.kinds.iter().map(|kind| (Arc::from(GROUP), Arc::from(*kind))).collect(),
            attached_routes: self.attached,
            conditions: vec![accepted, resolved, programmed, conflicted],
        }
    }
}

/// The kind of a route and the one that it shares no host with.
fn rivals(protocol: RouteProtocol) -> Option<(&'static str, &'static str)> {
    match protocol {
        RouteProtocol::Http => Some(("HTTPRoute", "GRPCRoute")),
        RouteProtocol::Grpc => Some(("GRPCRoute", "HTTPRoute")),
        _ => None,
    }
}

/// What the listener would speak, and why it may not.
fn protocol(value: &Value) -> Result<ListenerProtocol, (ListenerProtocol, Wrong)> {
    use ListenerProtocol::{Http, Https, Tcp, TlsPassthrough, TlsTerminate, Udp};
    let unsupported =
        |name: &str| Wrong::new("UnsupportedProtocol", format!("Listeners of protocol {name:?} are not supported.")).at("protocol");
    let tls = value.get("tls").unwrap_or(&Value::Null);
    let mode = text(tls, "mode");
    let protocol = match (text(value, "protocol").unwrap_or(""), mode) {
        ("HTTP", _) => Http,
        ("HTTPS", None | Some("Terminate")) => Https,
        ("TLS", Some("Passthrough")) => TlsPassthrough,
        ("TLS", None | Some("Terminate")) => TlsTerminate,
        ("TCP", _) => Tcp,
        ("HTTPS" | "TLS", Some(mode)) => {
            let wrong = Wrong::value(format!("The TLS mode {mode} is not possible here.")).fix("Use Terminate.");
            return Err((Https, wrong.at("mode").at("tls")));
        }
        ("UDP", _) => Udp,
        (other, _) => return Err((Tcp, unsupported(other).fix("Use HTTP, HTTPS, TLS, TCP or UDP."))),
    };
    // Who writes these means something else than what would be served: plain text, or every host.
    if matches!(protocol, Http | Tcp | Udp) && !tls.is_null() {
        let wrong = Wrong::value("A listener of this protocol speaks no TLS.").fix("Use HTTPS or TLS, or remove the field.");
        return Err((protocol, wrong.at("tls")));
    }
    if matches!(protocol, Tcp | Udp) && text(value, "hostname").is_some_and(|host| !host.is_empty()) {
        let wrong = match protocol {
            Udp => Wrong::value("A UDP listener knows no host names.").fix("Remove the field."),
            _ => Wrong::value("A TCP listener knows no host names.").fix("Use TLS, or remove the field."),
        };
        return Err((protocol, wrong.at("hostname")));
    }
    // Options may ask for stricter TLS: to leave one out would be weaker than what was written.
    if let Some(name) = tls.get("options").and_then(Value::as_object).and_then(|options| options.keys().next()) {
        return Err((protocol, Wrong::value(format!("The TLS option {name} is not known.")).fix("Remove it.").at("options").at("tls")));
    }
    Ok(protocol)
}

fn read_certificates(value: &Value, gateway: &Object, inventory: &Inventory, unresolved: &mut Vec<Wrong>) -> Vec<Certificate> {
    let listed = value.pointer("/tls/certificateRefs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if listed.is_empty() {
        let wrong = Wrong::new("InvalidCertificateRef", "The listener has no certificate to show.");
        unresolved.push(wrong.fix("Name a Secret of type kubernetes.io/tls in tls.certificateRefs.").at("tls"));
    }
    let mut certificates: Vec<Certificate> = Vec::new();
    for (i, reference) in listed.iter().enumerate() {
        match certificate::resolve(reference, &gateway.object, inventory, "InvalidCertificateRef") {
            Ok(found) if certificates.iter().any(|known| known.key == found.key) => {}
            Ok(found) => certificates.push(found),
            Err(wrong) => unresolved.push(wrong.item(i).at("certificateRefs").at("tls")),
        }
    }
    certificates
}

const INVALID_KINDS: &str = "InvalidRouteKinds";

/// The kinds taken, and the ones asked for that cannot be.
fn read_kinds(value: Option<&Value>, protocol: ListenerProtocol, served: bool) -> (Vec<&'static str>, Vec<Wrong>) {
    let can: &[&'static str] = match protocol {
        _ if !served => &[],
        ListenerProtocol::Http | ListenerProtocol::Https => &["HTTPRoute", "GRPCRoute"],
        ListenerProtocol::TlsPassthrough | ListenerProtocol::TlsTerminate => &["TLSRoute"],
        ListenerProtocol::Tcp => &["TCPRoute"],
        ListenerProtocol::Udp => &["UDPRoute"],
    };
    let asked = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // What is refused as a whole needs no second complaint about its routes.
    if asked.is_empty() || !served {
        return (can.to_vec(), Vec::new());
    }
    let mut kinds = Vec::new();
    let mut unknown = Vec::new();
    for (i, asked) in asked.iter().enumerate() {
        let (group, kind) = (text(asked, "group").unwrap_or(GROUP), text(asked, "kind").unwrap_or(""));
        match can.iter().find(|known| group == GROUP && kind == **known) {
            Some(known) if !kinds.contains(known) => kinds.push(*known),
            Some(_) => {}
            None => {
                let wrong = Wrong::new(INVALID_KINDS, format!("The listener cannot take routes of kind {kind} of group {group:?}."));
                let fix = format!("It can take: {}.", can.join(", "));
                unknown.push(wrong.fix(fix).at("kind").item(i).at("kinds").at("allowedRoutes"));
            }
        }
    }
    (kinds, unknown)
}

/// Whether `namespaces` of an `allowedRoutes` or `allowedListeners` takes what is of `namespace`.
pub fn allows(namespaces: &Value, default: &str, own: &str, namespace: &str, inventory: &Inventory) -> bool {
    match text(namespaces, "from").unwrap_or(default) {
        "All" => true,
        "Same" => *own == *namespace,
        "Selector" => selects(namespaces.get("selector").unwrap_or(&Value::Null), &inventory.labels_of(namespace)),
        _ => false,
    }
}

/// A label selector of Kubernetes; an operator nobody knows selects nothing.
fn selects(selector: &Value, labels: &Labels) -> bool {
    let equal = labels_at(selector.get("matchLabels").unwrap_or(&Value::Null)).iter().all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    equal
        && expressions.into_iter().all(|expression| {
            let value = labels.get(text(expression, "key").unwrap_or(""));
            let listed = || {
                let values = expression.get("values").and_then(Value::as_array);
                values.into_iter().flatten().any(|v| v.as_str() == value.map(|v| &**v))
            };
            match text(expression, "operator") {
                Some("In") => value.is_some() && listed(),
                Some("NotIn") => value.is_none() || !listed(),
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}

/// What tells connections apart on one port: nothing, a request's host, or a server name, whoever ends the TLS then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Http,
    Tls,
    Tcp,
    Udp,
}

impl Family {
    fn of(protocol: ListenerProtocol) -> Self {
        match protocol {
            ListenerProtocol::Http => Self::Http,
            ListenerProtocol::Https | ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough => Self::Tls,
            ListenerProtocol::Tcp => Self::Tcp,
            ListenerProtocol::Udp => Self::Udp,
        }
    }
}

/// Listeners of one Gateway or set that cannot be told apart: none of them is served, for none may win by chance. What lost to an
/// older one already takes no other with it.
pub fn mark_conflicts(doors: &mut [Door]) {
    let told = |d: &Door| (d.listener.port, Family::of(d.listener.protocol), d.listener.hostname.clone());
    let seen: Vec<_> = doors.iter().map(|door| door.conflict.is_none().then(|| told(door))).collect();
    for (i, door) in doors.iter_mut().enumerate() {
        let Some((port, family, hostname)) = &seen[i] else { continue };
        // Datagrams and connections have ports of their own.
        let datagrams = |family| family == Family::Udp;
        let others = seen.iter().enumerate().filter(|(j, _)| *j != i).filter_map(|(_, other)| other.as_ref());
        for other in others.filter(|other| other.0 == *port && datagrams(other.1) == datagrams(*family)) {
            if other.1 != *family {
                door.conflict = Some("ProtocolConflict");
            } else if other.2 == *hostname {
                door.conflict = door.conflict.or(Some("HostnameConflict"));
            }
        }
    }
}

/// Listeners of a set come after those of the Gateway and of older sets: what these have already, they do not get.
pub fn mark_late(doors: &mut [Door], before: &[Door]) {
    let before: Vec<&Door> = before.iter().filter(|door| door.conflict.is_none()).collect();
    for door in doors.iter_mut() {
        let family = Family::of(door.listener.protocol);
        let datagrams = |family| family == Family::Udp;
        for other in before.iter().filter(|other| other.listener.port == door.listener.port) {
            let theirs = Family::of(other.listener.protocol);
            if datagrams(theirs) != datagrams(family) {
                continue;
            }
            if theirs != family {
                door.conflict = Some("ProtocolConflict");
            } else if other.listener.hostname == door.listener.hostname {
                door.conflict = door.conflict.or(Some("HostnameConflict"));
            }
        }
    }
}

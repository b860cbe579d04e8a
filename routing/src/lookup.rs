//! From an entry and a head to a decision. One code path for carried traffic, for explanation and for tests.

use crate::compiled::CompiledMatch;
use crate::decision::{Caller, Decision, Entry, Reason, Refusal, Spoken};
use crate::hosts::{Cost, Found, HostTable, canonical_host};
use crate::table::{Group, Layer, Slot, Table};
use model::{Fault, HostPattern, Key, Listener, ListenerProtocol, RequestHead, limits};
use std::sync::Arc;

static ANY: HostPattern = HostPattern::Any;

impl Table {
    /// Where a request goes.
    pub fn route(&self, entry: &Entry, head: &RequestHead, caller: &Caller<'_>) -> Result<Decision<'_>, Refusal<'_>> {
        self.route_counted(entry, head, caller, &mut Cost::default())
    }

    /// [`Table::route`], and what it cost.
    pub fn route_counted(
        &self,
        entry: &Entry,
        head: &RequestHead,
        caller: &Caller<'_>,
        cost: &mut Cost,
    ) -> Result<Decision<'_>, Refusal<'_>> {
        self.decide(entry, Layer::Http, head.host(), head, caller, cost)
    }

    /// Where a connection goes that is carried unread (TCPRoute, TLSRoute): by SNI where it has one.
    pub fn connect(&self, entry: &Entry, sni: Option<&str>, caller: &Caller<'_>) -> Result<Decision<'_>, Refusal<'_>> {
        self.decide(entry, Layer::Stream, sni.unwrap_or(""), &RequestHead::default(), caller, &mut Cost::default())
    }

    /// What is spoken on a gateway's port. Listeners that can serve say it; where none can, whoever knocks is to hear why.
    pub fn spoken(&self, gateway: &Key, port: u16) -> Spoken<'_> {
        let here = || self.listeners_of(gateway).iter().filter(|l| l.port == port && l.protocol != ListenerProtocol::Udp);
        let serves = here().any(|l| l.broken.is_none());
        let first = |wanted: fn(ListenerProtocol) -> bool| here().find(|l| (!serves || l.broken.is_none()) && wanted(l.protocol));
        if let Some(listener) = first(|protocol| protocol == ListenerProtocol::Tcp) {
            return Spoken::Tcp(listener);
        }
        match first(is_tls) {
            Some(_) if here().all(|l| l.protocol == ListenerProtocol::Https) => Spoken::Https,
            Some(_) => Spoken::Tls,
            None if first(|_| true).is_some() => Spoken::Http,
            None => Spoken::Nothing,
        }
    }

    /// Whose datagrams are that come to a gateway's port: of the listener that can serve, else of one that says why not.
    pub fn datagram_listener(&self, gateway: &Key, port: u16) -> Option<&Arc<Listener>> {
        let here = || self.listeners_of(gateway).iter().filter(|l| l.port == port && l.protocol == ListenerProtocol::Udp);
        here().find(|l| l.broken.is_none()).or_else(|| here().next())
    }

    /// The listener of `gateway` on `port` that takes `host`, by TLS or not: the one whose host name says most (listener isolation, GEP-3567).
    pub fn listener_for(&self, gateway: &Key, port: u16, tls: bool, host: &str) -> Option<&Arc<Listener>> {
        let mut buffer = [0; limits::HOSTNAME_BYTES];
        let host = canonical_host(host, &mut buffer).unwrap_or("");
        let wanted = |protocol| if tls { is_tls(protocol) } else { protocol == ListenerProtocol::Http };
        let here = self.listeners_of(gateway).iter().filter(|l| l.port == port && wanted(l.protocol));
        here.filter(|l| l.hostname.matches(host)).max_by_key(|l| l.hostname.specificity())
    }

    /// Where a request at a gateway goes: [`Table::gateway_listener`], then [`Table::listener_route`].
    pub fn gateway_route(
        &self,
        gateway: &Key,
        port: u16,
        tls: Option<Option<&str>>,
        head: &RequestHead,
    ) -> Result<(&Arc<Listener>, Decision<'_>), Refusal<'_>> {
        let listener = self.gateway_listener(gateway, port, tls, head.host())?;
        Ok((listener, self.listener_route(listener, head)?))
    }

    /// The listener whose request it is, by its `host`; it says how paths are made regular before they are routed. `tls` carries the SNI of a
    /// TLS connection (`Some(None)`: TLS without SNI). Where the host belongs to another listener than the connection, the answer is 421;
    /// where to none, 404.
    pub fn gateway_listener(&self, gateway: &Key, port: u16, tls: Option<Option<&str>>, host: &str) -> Result<&Arc<Listener>, Refusal<'_>> {
        let refuse = |fault, reason| Refusal { fault, reason, origin: None };
        let listener = self.listener_for(gateway, port, tls.is_some(), host).ok_or(refuse(Fault::NoRoute, Reason::NoListener))?;
        if let Some(sni) = tls {
            let opened = self.listener_for(gateway, port, true, sni.unwrap_or(""));
            if opened.is_none_or(|opened| opened.key != listener.key) {
                let reason = Reason::Misdirected(&listener.section);
                return Err(Refusal { fault: Fault::MisdirectedRequest, reason, origin: Some(&listener.origin) });
            }
        }
        Ok(listener)
    }

    /// Where a request goes that is a listener's own.
    pub fn listener_route(&self, listener: &Listener, head: &RequestHead) -> Result<Decision<'_>, Refusal<'_>> {
        let unknown = Refusal { fault: Fault::NoRoute, reason: Reason::UnknownEntry, origin: None };
        let slot = self.slots.get(&listener.key).ok_or(unknown)?;
        self.at_listener(slot, Layer::Http, head.host(), head, &Caller::default(), &mut Cost::default())
    }

    fn decide(
        &self,
        entry: &Entry,
        layer: Layer,
        host: &str,
        head: &RequestHead,
        caller: &Caller<'_>,
        cost: &mut Cost,
    ) -> Result<Decision<'_>, Refusal<'_>> {
        let (key, port) = match entry {
            Entry::Listener(key) => (key, None),
            Entry::Service { service, port } => (service, Some(*port)),
        };
        let unknown = |fault| Refusal { fault, reason: Reason::UnknownEntry, origin: None };
        let Some(slot) = self.slots.get(key) else {
            return Err(unknown(if port.is_some() { Fault::NoSuchService } else { Fault::NoRoute }));
        };
        let Some(port) = port else {
            return self.at_listener(slot, layer, host, head, caller, cost);
        };
        let service = slot.service.as_ref().ok_or(unknown(Fault::NoSuchService))?;
        let origin = Some(&service.origin);
        let Some(default) = slot.defaults.iter().find(|default| default.port == port) else {
            let reason = Reason::NoSuchPort { service, port };
            return Err(Refusal { fault: Fault::NoSuchService, reason, origin });
        };
        if !slot.groups.iter().any(|g| applies(g, Some(port), layer, caller)) {
            return Ok(default_decision(default.of(service)));
        }
        let found = self.find(slot, Some(port), layer, host, head, caller, cost);
        found.map(|(t, p)| decision_at(t, p)).map_err(|reason| Refusal { fault: Fault::NoRoute, reason, origin })
    }

    /// What a listener does with a request that is its own; one that cannot serve refuses all of them, with its reason.
    fn at_listener<'t>(
        &'t self,
        slot: &'t Slot,
        layer: Layer,
        host: &str,
        head: &RequestHead,
        caller: &Caller<'_>,
        cost: &mut Cost,
    ) -> Result<Decision<'t>, Refusal<'t>> {
        let origin = slot.listener.as_ref().map(|l| &l.origin);
        let refuse = |reason| Refusal { fault: Fault::NoRoute, reason, origin };
        if let Some(why) = slot.listener.as_ref().and_then(|l| l.broken.as_ref()) {
            return Err(refuse(Reason::ListenerBroken(why)));
        }
        let (table, place) = self.find(slot, None, layer, host, head, caller, cost).map_err(refuse)?;
        Ok(decision_at(table, place))
    }

    /// The best of the groups that apply. Consumer routes of the caller's namespace, where there are any, replace producer routes (GAMMA).
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn find<'t>(
        &'t self,
        slot: &'t Slot,
        port: Option<u16>,
        layer: Layer,
        host: &str,
        head: &RequestHead,
        caller: &Caller<'_>,
        cost: &mut Cost,
    ) -> Result<(&'t HostTable, u32), Reason<'t>> {
        let mut buffer = [0; limits::HOSTNAME_BYTES];
        let host = canonical_host(host, &mut buffer).unwrap_or("");
        let consumer = slot.groups.iter().any(|g| g.callers.is_some() && applies(g, port, layer, caller));
        let (mut best, mut reason): (Option<(&HostTable, u32)>, _) = (None, Reason::NoHost);
        for group in slot.groups.iter().filter(|g| applies(g, port, layer, caller) && g.callers.is_some() == consumer) {
            match group.hosts.find(host, head, &self.shared, cost) {
                Found::NoHost => {}
                Found::NoMatch => reason = Reason::NoMatch,
                Found::Match { table, place } => {
                    if best.is_none_or(|best| beats((table, place), best)) {
                        best = Some((table, place));
                    }
                }
            }
        }
        best.ok_or(reason)
    }
}

impl Table {
    /// Every host table that a request would be looked up in, in that order: what an explanation reads.
    pub(crate) fn tables_for(&self, entry: &Entry, layer: Layer, host: &str, caller: &Caller<'_>) -> Vec<&HostTable> {
        let (key, port) = match entry {
            Entry::Listener(key) => (key, None),
            Entry::Service { service, port } => (service, Some(*port)),
        };
        let Some(slot) = self.slots.get(key) else { return Vec::new() };
        let mut buffer = [0; limits::HOSTNAME_BYTES];
        let host = canonical_host(host, &mut buffer).unwrap_or("");
        let consumer = slot.groups.iter().any(|g| g.callers.is_some() && applies(g, port, layer, caller));
        let mut tables = Vec::new();
        for group in slot.groups.iter().filter(|g| applies(g, port, layer, caller) && g.callers.is_some() == consumer) {
            let cost = &mut Cost::default();
            let mut candidates = group.hosts.candidates(host, &self.shared, cost);
            tables.extend(std::iter::from_fn(|| candidates.next(cost)));
        }
        tables.sort_by_key(|table| std::cmp::Reverse(table.pattern.specificity()));
        tables
    }
}

fn is_tls(protocol: ListenerProtocol) -> bool {
    matches!(protocol, ListenerProtocol::Https | ListenerProtocol::TlsTerminate | ListenerProtocol::TlsPassthrough)
}

fn applies(group: &Group, port: Option<u16>, layer: Layer, caller: &Caller<'_>) -> bool {
    let ours = group.callers.as_deref().is_none_or(|callers| caller.namespace == Some(callers));
    group.layer == layer && ours && group.port.is_none_or(|number| port == Some(number))
}

fn beats(a: (&HostTable, u32), b: (&HostTable, u32)) -> bool {
    let (ours, theirs) = (a.0.pattern.specificity(), b.0.pattern.specificity());
    ours > theirs || ours == theirs && a.0.matches[a.1 as usize].rank() < b.0.matches[b.1 as usize].rank()
}

fn decision_at(table: &HostTable, place: u32) -> Decision<'_> {
    let found = &table.matches[place as usize];
    Decision { found, host: &table.pattern }
}

fn default_decision(found: &CompiledMatch) -> Decision<'_> {
    Decision { found, host: &ANY }
}

#[cfg(test)]
mod tests;

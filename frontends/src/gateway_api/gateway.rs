//! The second pass: Gateways that are ours, with their listeners. A Gateway is accepted as long as one listener is.

use super::clients::{Frontend, INSECURE};
use super::listener::{Door, mark_conflicts};
use super::{CONTROLLER, GROUP, backend, before, certificate, condition, external, sets};
use crate::kubernetes::{Inventory, text};
use crate::organza::settings::{Parameters, Settings};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// All Gateways of ours, those without a listener included.
#[derive(Default)]
pub struct Gateways {
    pub doors: Vec<Door>,
    all: Vec<Ours>,
    classes: Vec<(ObjectRef, Result<Parameters, Wrong>)>,
    /// Gateways that routes may mean without naming them.
    pub defaults: Vec<ObjectRef>,
    /// Gateways that others serve, or nobody.
    pub foreign: BTreeSet<ObjectRef>,
    /// Sets of listeners that ask to be ours, those that may not included.
    pub sets: Vec<sets::Set>,
    /// Certificates that are shown to servers outside the mesh.
    pub shown: Vec<Certificate>,
}

/// What a Gateway has for all its listeners, those of sets included.
struct Manner<'g> {
    level: Normalisation,
    parameters: Parameters,
    frontend: Frontend,
    shown: &'g Result<Option<Key>, Wrong>,
    refused: &'g Option<Wrong>,
}

impl Manner<'_> {
    fn settle(&self, door: &mut Door, out: &mut Translation) {
        door.listener.shown = match self.shown {
            Ok(None) => GatewayCertificate::Nothing,
            Ok(Some(key)) => GatewayCertificate::Shown(key.clone()),
            Err(wrong) => GatewayCertificate::Broken(wrong.message.as_str().into()),
        };
        door.ask(self.frontend.of(door.listener.port));
        out.reports.extend(door.reports());
        door.listener.normalisation = self.level;
        door.listener.front = self.parameters.front();
        // Nothing of a Gateway that is refused is served; said once, of the Gateway.
        door.refused = door.refused.take().or_else(|| self.refused.clone());
        door.settle();
    }
}

/// The listeners that are written in a Gateway, or in a set of it.
pub fn read_doors(owner: &Object, gateway: &Object, world: &backend::World<'_>, out: &mut Translation) -> Vec<Door> {
    let mut doors: Vec<Door> = Vec::new();
    for (i, value) in owner.list("/spec/listeners").iter().enumerate() {
        match Door::read(owner, gateway, i, value, world.inventory) {
            Ok(mut door) => {
                door.guard(before::read(value, door.listener.protocol, &owner.object, world));
                doors.push(door);
            }
            Err(wrong) => out.reports.push(wrong.item(i).at("listeners").at("spec").report(&owner.object)),
        }
    }
    doors
}

struct Ours {
    object: ObjectRef,
    /// Why nothing of it is served.
    refused: Option<Wrong>,
    /// What it shows to backends that ask, where it names anything.
    shown: Result<Option<Key>, Wrong>,
}

impl Gateways {
    pub fn names_in(&self, namespace: &str) -> Vec<&str> {
        self.all.iter().filter(|ours| *ours.object.namespace == *namespace).map(|ours| &*ours.object.name).collect()
    }

    /// A Gateway of ours, or a ListenerSet of one.
    pub fn knows(&self, gateway: &ObjectRef) -> bool {
        self.all.iter().any(|ours| ours.object == *gateway) || self.sets.iter().any(|set| set.object == *gateway)
    }

    pub fn read(objects: &[Object], world: &backend::World<'_>, settings: &Settings, out: &mut Translation) -> Self {
        let mut gateways = Self::default();
        let classes = objects.iter().filter(|o| o.is(GROUP, "GatewayClass"));
        for class in classes.filter(|o| o.at("/spec/controllerName").as_str() == Some(CONTROLLER)) {
            let parameters = settings.parameters(class.at("/spec/parametersRef"), "").at("spec");
            out.reports.extend(parameters.as_ref().err().map(|wrong| wrong.report(&class.object)));
            gateways.classes.push((class.object.clone(), parameters));
        }
        for gateway in objects.iter().filter(|o| o.is(GROUP, "Gateway")) {
            match class_of(gateway, objects) {
                Class::Ours => gateways.add(gateway, objects, world, settings, out),
                Class::Foreign => drop(gateways.foreign.insert(gateway.object.clone())),
                Class::Unknown(name) => {
                    gateways.foreign.insert(gateway.object.clone());
                    let wrong = Wrong::new("UnknownClass", format!("No GatewayClass {name:?} exists, so nobody serves this Gateway."));
                    let report = wrong.fix("Use gatewayClassName: organza.").at("gatewayClassName").at("spec").report(&gateway.object);
                    out.reports.push(Report { severity: Severity::Warning, ..report });
                }
            }
        }
        gateways
    }

    fn add(&mut self, gateway: &Object, objects: &[Object], world: &backend::World<'_>, settings: &Settings, out: &mut Translation) {
        let inventory = world.inventory;
        let mut doors = read_doors(gateway, gateway, world, out);
        mark_conflicts(&mut doors);
        let parameters = self.parameters(gateway, settings).and_then(|parameters| check(gateway).map(|()| parameters));
        let (parameters, refused) = parameters.map_or_else(|wrong| (Parameters::default(), Some(wrong)), |found| (found, None));
        let parameters = parameters.over(settings.of_gateways(&gateway.object.namespace));
        let level = parameters.normalisation.unwrap_or_default();
        let frontend = Frontend::read(gateway, inventory);
        out.reports.extend(frontend.reports(gateway));
        let shown = self.shown_to_backends(gateway, inventory);
        out.reports.extend(shown.as_ref().err().map(|wrong| wrong.report(&gateway.object)));
        let manner = Manner { level, parameters, frontend, shown: &shown, refused: &refused };
        doors.iter_mut().for_each(|door| manner.settle(door, out));
        for (set, found) in sets::of(gateway, &doors, objects, world, out) {
            let mut found = found;
            found.iter_mut().for_each(|door| manner.settle(door, out));
            self.sets.push(set);
            doors.append(&mut found);
        }
        out.reports.extend(refused.iter().map(|wrong| wrong.report(&gateway.object)));
        if gateway.at("/spec/defaultScope").as_str() == Some("All") {
            self.defaults.push(gateway.object.clone());
        }
        self.all.push(Ours { object: gateway.object.clone(), refused, shown });
        self.doors.append(&mut doors);
    }

    fn shown_to_backends(&mut self, gateway: &Object, inventory: &Inventory) -> Result<Option<Key>, Wrong> {
        let reference = gateway.at("/spec/tls/backend/clientCertificateRef");
        if reference.is_null() {
            return Ok(None);
        }
        let found = certificate::resolve(reference, &gateway.object, inventory, "InvalidClientCertificateRef");
        let found = found.at("clientCertificateRef").at("backend").at("tls").at("spec")?;
        let key = found.key.clone();
        self.shown.push(found);
        Ok(Some(key))
    }

    /// The Gateway's own parameters, and where they say nothing those of its class.
    fn parameters(&self, gateway: &Object, settings: &Settings) -> Result<Parameters, Wrong> {
        let class = gateway.at("/spec/gatewayClassName").as_str().unwrap_or("");
        let class = match self.classes.iter().find(|(object, _)| *object.name == *class) {
            None => Parameters::default(),
            Some((_, Ok(parameters))) => parameters.clone(),
            Some((_, Err(wrong))) => {
                let wrong = Wrong::new(wrong.reason, format!("Its class cannot be served: {}", wrong.message));
                return Err(wrong.at("gatewayClassName").at("spec"));
            }
        };
        let reference = gateway.at("/spec/infrastructure/parametersRef");
        let own = settings.parameters(reference, &gateway.object.namespace).at("infrastructure").at("spec")?;
        Ok(own.over(class))
    }

    /// Statuses of gateways and their listeners, once all routes are attached.
    pub fn finish(self, out: &mut Translation) {
        for (object, parameters) in self.classes {
            let accepted = match &parameters {
                Err(wrong) => condition("Accepted", false, wrong.reason, &wrong.message),
                Ok(_) => condition("Accepted", true, "Accepted", "Organza serves Gateways of this class."),
            };
            out.statuses.push(Status { object, conditions: vec![accepted], parents: Vec::new(), listeners: Vec::new() });
        }
        for ours in self.all {
            let doors: Vec<&Door> = self.doors.iter().filter(|door| door.owner == ours.object).collect();
            let insecure = self.doors.iter().any(|door| door.gateway == ours.object && door.is_insecure());
            let mut told = status(ours, &doors, insecure);
            if self.defaults.contains(&told.object) {
                told.conditions.push(condition(
                    "DefaultGateway",
                    true,
                    "DefaultGateway",
                    "Routes that ask for a default Gateway attach here.",
                ));
            }
            out.statuses.push(told);
        }
        out.statuses.extend(self.sets.into_iter().map(|set| set.status(&self.doors)));
        // Keys go out only for listeners that show them.
        let mut certificates: BTreeMap<Key, Certificate> =
            self.shown.into_iter().map(|certificate| (certificate.key.clone(), certificate)).collect();
        for door in self.doors.iter().filter(|door| door.listener.broken.is_none()) {
            certificates.extend(door.certificates.iter().map(|certificate| (certificate.key.clone(), certificate.clone())));
        }
        out.resources.extend(certificates.into_values().map(|certificate| Resource::Certificate(Arc::new(certificate))));
        out.resources.extend(self.doors.into_iter().map(|door| Resource::Listener(Arc::new(door.listener))));
    }
}

fn status(Ours { object, refused, shown }: Ours, doors: &[&Door], insecure: bool) -> Status {
    let names = |wanted: bool| {
        let found: Vec<&str> = doors.iter().filter(|d| d.accepted() == wanted).map(|d| &*d.listener.section).collect();
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    };
    let some = doors.iter().any(|door| door.accepted());
    let accepted = match &refused {
        Some(wrong) => condition("Accepted", false, wrong.reason, &wrong.message),
        None if some && doors.iter().all(|door| door.accepted() && door.dangling().next().is_none()) => {
            condition("Accepted", true, "Accepted", "All listeners are valid.")
        }
        None => {
            let message = format!("Listeners accepted: {}; refused: {}.", names(true), names(false));
            condition("Accepted", some, "ListenersNotValid", &message)
        }
    };
    // Whether proxies serve it is for `control` to say, which hears their acknowledgements.
    let programmed = match doors.iter().any(|door| door.listener.broken.is_none()) {
        true => condition("Programmed", false, "Pending", "No proxy has said yet that it serves the Gateway."),
        false => condition("Programmed", false, "Invalid", "No listener can be served."),
    };
    let mut conditions = vec![accepted, programmed];
    if insecure {
        let message = "Clients are let in whatever certificate they show, or none.";
        conditions.push(condition(INSECURE, true, "ConfigurationChanged", message));
    }
    match shown {
        Ok(None) => {}
        Ok(Some(_)) => conditions.push(condition("ResolvedRefs", true, "ResolvedRefs", "All references lead somewhere.")),
        Err(wrong) => conditions.push(condition("ResolvedRefs", false, wrong.reason, &wrong.message)),
    }
    let listeners = doors.iter().map(|door| door.status()).collect();
    Status { object, conditions, parents: Vec::new(), listeners }
}

enum Class<'a> {
    Ours,
    Foreign,
    Unknown(&'a str),
}

/// Off Kubernetes the class `organza` needs no object; a GatewayClass object decides by its controller.
fn class_of<'a>(gateway: &'a Object, objects: &[Object]) -> Class<'a> {
    let class = gateway.at("/spec/gatewayClassName").as_str().unwrap_or("");
    match objects.iter().find(|o| o.is(GROUP, "GatewayClass") && *o.object.name == *class) {
        Some(object) if object.at("/spec/controllerName").as_str() == Some(CONTROLLER) => Class::Ours,
        Some(_) => Class::Foreign,
        None if class == "organza" => Class::Ours,
        None => Class::Unknown(class),
    }
}

/// What refuses a Gateway as a whole: that it asks for what would be ignored.
fn check(gateway: &Object) -> Result<(), Wrong> {
    for (i, address) in gateway.list("/spec/addresses").iter().enumerate() {
        let value = text(address, "value").unwrap_or("");
        let kind = text(address, "type").unwrap_or("IPAddress");
        if kind != "IPAddress" || (!value.is_empty() && value.parse::<IpAddr>().is_err()) {
            let wrong = Wrong::new("UnsupportedAddress", format!("An address {value:?} of type {kind} cannot be listened on."));
            return Err(wrong.fix("Give an IPv4 or IPv6 address.").item(i).at("addresses").at("spec"));
        }
        // What is not known must not be taken for something wider.
        let reach = text(address, "routability").unwrap_or("");
        if !matches!(reach, "" | "Cluster") {
            let wrong = Wrong::new("UnsupportedAddress", format!("No address is known that reaches as far as {reach:?} says."));
            return Err(wrong.fix("Use Cluster, or leave it out.").at("routability").item(i).at("addresses").at("spec"));
        }
    }
    Ok(())
}

/// Kinds of Gateway API that are read by nobody yet, said aloud: a policy that is silently ignored is a trap.
pub fn unsupported(object: &Object) -> Option<Report> {
    let wrong = Wrong::new("UnsupportedKind", format!("A {} has no effect yet.", object.object.kind));
    let wrong = match (&*object.object.group, &*object.object.kind) {
        (external::GROUP, "XMesh") => wrong.fix(format!("Use a MeshConfig of group {}.", crate::organza::GROUP)),
        _ => return None,
    };
    Some(Report { severity: Severity::Warning, ..wrong.report(&object.object) })
}

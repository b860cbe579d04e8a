//! What a Gateway asks of clients that come by HTTPS (`spec.tls.frontend`, GEP-91): for all its ports, and otherwise for some. A port whose
//! authorities cannot be read is closed; it is never served to those who show nothing.

use super::roots::{Bundle, Reasons};
use crate::Object;
use crate::kubernetes::{Inventory, port, text};
use crate::wrong::Wrong;
use model::{ClientCertificates, Report, Severity};
use serde_json::Value;

const REASONS: Reasons = Reasons { kind: "InvalidCACertificateKind", reference: "InvalidCACertificateRef" };

/// What is asked on one port.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `None`: of all authorities that are named none can be read.
    pub clients: Option<ClientCertificates>,
    /// References that lead nowhere.
    pub wrong: Vec<Wrong>,
}

pub struct Frontend {
    default: Asked,
    ports: Vec<(u16, Asked)>,
}

impl Frontend {
    pub fn read(gateway: &Object, inventory: &Inventory) -> Self {
        let listed = gateway.list("/spec/tls/frontend/perPort").iter().enumerate();
        let ports = listed.filter_map(|(i, value)| {
            let mut asked = Asked::read(&value["tls"], gateway, inventory);
            asked.wrong = asked.wrong.into_iter().map(|wrong| wrong.at("tls").item(i).at("perPort")).collect();
            Some((port(value, "port")?, asked))
        });
        let mut default = Asked::read(gateway.at("/spec/tls/frontend/default"), gateway, inventory);
        default.wrong = default.wrong.into_iter().map(|wrong| wrong.at("default")).collect();
        Self { default, ports: ports.collect() }
    }

    pub fn of(&self, port: u16) -> &Asked {
        self.ports.iter().find(|(number, _)| *number == port).map_or(&self.default, |(_, asked)| asked)
    }

    /// What is wrong, once for the whole Gateway.
    pub fn reports(&self, gateway: &Object) -> Vec<Report> {
        let all = std::iter::once(&self.default).chain(self.ports.iter().map(|(_, asked)| asked));
        let wrong = all.clone().flat_map(|asked| &asked.wrong);
        let mut reports: Vec<Report> =
            wrong.map(|wrong| wrong.clone().at("frontend").at("tls").at("spec").report(&gateway.object)).collect();
        if all.clone().any(Asked::is_insecure) {
            let wrong = Wrong::new(INSECURE, "Clients are let in whatever certificate they show, or none.");
            let report = wrong.fix("Use mode: AllowValidOnly.").at("frontend").at("tls").at("spec").report(&gateway.object);
            reports.push(Report { severity: Severity::Warning, ..report });
        }
        reports
    }
}

pub const INSECURE: &str = "InsecureFrontendValidationMode";

impl Asked {
    fn read(tls: &Value, gateway: &Object, inventory: &Inventory) -> Self {
        let Some(validation) = tls.get("validation").filter(|value| !value.is_null()) else {
            return Self { clients: Some(ClientCertificates::Unasked), wrong: Vec::new() };
        };
        let bundle = Bundle::read(validation, &gateway.object, inventory, REASONS);
        let clients = match (bundle.roots(), text(validation, "mode")) {
            (None, _) => None,
            (Some(roots), Some("AllowInsecureFallback")) => Some(ClientCertificates::Insecure(roots)),
            (Some(roots), _) => Some(ClientCertificates::Required(roots)),
        };
        Self { clients, wrong: bundle.wrong.into_iter().map(|wrong| wrong.at("validation")).collect() }
    }

    pub fn is_insecure(&self) -> bool {
        matches!(self.clients, Some(ClientCertificates::Insecure(_)))
    }
}

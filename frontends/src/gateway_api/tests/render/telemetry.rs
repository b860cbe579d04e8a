//! What is told of requests: `telemetry shop/some.0 on route shop/httproute.site`, each word of it on a line.

use super::{line, short};
use model::TelemetryTarget;
use model::telemetry::{SpansTo, TelemetryPolicy};

pub fn policy(policy: &TelemetryPolicy, out: &mut String) {
    let target = match &policy.target {
        TelemetryTarget::Mesh => "mesh".to_owned(),
        TelemetryTarget::Namespace(name) => format!("namespace {name}"),
        TelemetryTarget::Gateway(key) => format!("gateway {}", short(key)),
        TelemetryTarget::Service(key) => format!("service {}", short(key)),
        TelemetryTarget::Route(key) => format!("route {}", short(key)),
    };
    line(out, 0, format!("telemetry {} on {target}", short(&policy.key)));
    let says = &policy.says;
    says.share.iter().for_each(|share| line(out, 1, format!("share {share}")));
    for wanted in says.always.iter().flatten() {
        let value = match &wanted.value {
            model::ValueMatch::Exact(text) => text.to_string(),
            model::ValueMatch::Regex(regex) => format!("~{}", regex.pattern()),
        };
        line(out, 1, format!("always {}: {value}", wanted.name));
    }
    says.slower.iter().for_each(|slower| line(out, 1, format!("slower {slower:?}")));
    says.parents.iter().for_each(|parents| line(out, 1, format!("parents {parents:?}")));
    says.traced.iter().for_each(|traced| line(out, 1, format!("traced {traced}")));
    match &says.spans {
        Some(SpansTo::Collector(to)) => line(out, 1, format!("spans by {:?} to {to}", to.protocol)),
        Some(SpansTo::Exporter(to)) => {
            line(out, 1, format!("spans by {:?} to {} with {:?} as {:?}", to.protocol, to.backend, to.headers, to.words))
        }
        None => {}
    }
    says.lines.iter().for_each(|lines| line(out, 1, format!("lines {lines:?}")));
    says.lines_to.iter().for_each(|to| line(out, 1, format!("lines by {:?} to {to}", to.protocol)));
    says.matches.iter().flatten().for_each(|one| line(out, 1, format!("lines of {one:?}")));
    says.format.iter().for_each(|format| line(out, 1, format!("lines as {format:?}")));
    says.file.iter().for_each(|file| line(out, 1, format!("lines into {} of {} B, {} kept", file.name, file.bytes, file.kept)));
    for (what, names) in [("request", &says.request_headers), ("response", &says.response_headers)] {
        names.iter().for_each(|names| line(out, 1, format!("records of the {what} {}", names.join(" "))));
    }
    for one in says.redactions.iter().flat_map(|all| all.iter()) {
        line(out, 1, format!("redacts {:?} {:?} to {}", one.field, one.pattern, one.replacement));
    }
    says.series.iter().for_each(|most| line(out, 1, format!("series {most}")));
    says.dropped_labels.iter().for_each(|labels| line(out, 1, format!("without {}", labels.names().collect::<Vec<_>>().join(" "))));
}

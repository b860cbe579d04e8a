//! What is told of requests: `telemetry shop/some.0 on route shop/httproute.site`, each word of it on a line.

use super::{line, short};
use model::TelemetryTarget;
use model::telemetry::TelemetryPolicy;

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
    says.spans.iter().for_each(|to| line(out, 1, format!("spans by {:?} to {to}", to.protocol)));
    says.lines.iter().for_each(|lines| line(out, 1, format!("lines {lines:?}")));
    says.lines_to.iter().for_each(|to| line(out, 1, format!("lines by {:?} to {to}", to.protocol)));
}

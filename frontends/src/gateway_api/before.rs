//! Filters of listeners (GEP-5224): what is done with a request before it is routed, in the order written. What is not understood refuses the listener: none
//! of them is ever left out. One whose server cannot be found stays, and answers 500.

use super::{authorizer, backend};
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use model::authorizer::Asking;
use model::{InvalidBackend, ListenerProtocol, ObjectRef};
use serde_json::Value;
use std::sync::Arc;

/// What the filters of one listener come to.
#[derive(Default)]
pub struct Before {
    pub asks: Vec<Arc<Asking>>,
    /// Why the listener is not accepted.
    pub refused: Option<Wrong>,
    /// References that lead nowhere.
    pub unresolved: Vec<Wrong>,
}

pub fn read(listener: &Value, protocol: ListenerProtocol, owner: &ObjectRef, world: &backend::World<'_>) -> Before {
    let mut before = Before::default();
    let Some(filters) = listener.get("filters").filter(|filters| !filters.is_null()) else { return before };
    let written = filters.get("requests").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !protocol.is_http() && !written.is_empty() {
        let wrong = Wrong::new("InvalidListenerFilter", "A listener that reads no requests cannot filter them.");
        before.refused = Some(wrong.fix("Use protocol HTTP or HTTPS, or remove the field.").at("filters"));
        return before;
    }
    for (i, value) in written.iter().enumerate() {
        match one(value, owner, world) {
            Ok((asking, reference)) => {
                before.asks.push(Arc::new(asking));
                before.unresolved.extend(reference.map(|wrong| placed(dangling(wrong, i), i).at("filters")));
            }
            Err(mut wrong) => {
                wrong.message = format!("filters.requests[{i}]: {}", wrong.message);
                before.refused.get_or_insert(placed(wrong, i).at("filters"));
            }
        }
    }
    before
}

fn placed(wrong: Wrong, i: usize) -> Wrong {
    wrong.item(i).at("requests")
}

fn one(value: &Value, owner: &ObjectRef, world: &backend::World<'_>) -> Result<(Asking, Option<Wrong>), Wrong> {
    let has = |field: &str| value.get(field).is_some_and(|part| !part.is_null());
    match text(value, "type") {
        Some("ExternalAuth") if has("extensionRef") => {
            Err(Wrong::new("InvalidListenerFilter", "A filter of type ExternalAuth has no field extensionRef.").at("extensionRef"))
        }
        Some("ExternalAuth") if !has("externalAuth") => {
            Err(Wrong::new("InvalidListenerFilter", "A filter of type ExternalAuth needs the field externalAuth.").at("type"))
        }
        Some("ExternalAuth") => {
            let (asking, reference) = authorizer::asking(&value["externalAuth"], owner, world).at("externalAuth")?;
            Ok((asking, reference.map(|wrong| wrong.at("externalAuth"))))
        }
        Some("ExtensionRef") => {
            let reference = &value["extensionRef"];
            let (kind, name) = (text(reference, "kind").unwrap_or(""), text(reference, "name").unwrap_or(""));
            Err(Wrong::value(format!("No filter {kind} {name} is known.")).fix("Use a filter of type ExternalAuth.").at("extensionRef"))
        }
        other => Err(Wrong::value(format!("A filter of type {:?} is not supported here.", other.unwrap_or(""))).at("type")),
    }
}

/// The specification has a reason of its own for these, but for what no grant permits.
fn dangling(mut wrong: Wrong, i: usize) -> Wrong {
    if wrong.reason != InvalidBackend::RefNotPermitted.as_str() {
        wrong.reason = "InvalidListenerFilterRef";
    }
    wrong.message = format!("filters.requests[{i}]: {}", wrong.message);
    wrong
}

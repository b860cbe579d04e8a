//! `trustedProxies` of `MeshConfig` and `GatewayParameters`: which proxies in front of a gateway say for whom they call.

use super::blocks;
use crate::Object;
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use model::{OriginField, Trusted, TrustedProxies};
use serde_json::Value;

/// `None` where nothing is said. Nobody is said by `hops: 0`, which takes back what a wider place says.
pub fn read(object: &Object) -> Result<Option<TrustedProxies>, Wrong> {
    let value = object.at("/spec/trustedProxies");
    if value.is_null() {
        return Ok(None);
    }
    one(value).at("trustedProxies").map(Some)
}

fn one(value: &Value) -> Result<TrustedProxies, Wrong> {
    let wrong = |message: String| Wrong::new("Invalid", message);
    let who = match (value.get("sources"), value.get("hops")) {
        (Some(Value::Array(all)), None) if !all.is_empty() => Trusted::Sources(blocks(all).at("sources")?),
        (None, Some(hops)) => match hops.as_u64() {
            Some(0) => Trusted::Nobody,
            Some(hops @ 1..=16) => Trusted::Hops(hops as u8),
            _ => return Err(wrong(format!("{hops} is no number of proxies from 0 to 16.")).at("hops")),
        },
        _ => {
            let wrong = wrong("Proxies are trusted by their addresses or by how many they are.".to_owned());
            return Err(wrong.fix("Set one of sources (addresses, at least one) and hops."));
        }
    };
    let field = match text(value, "header") {
        None if value.get("header").is_none_or(Value::is_null) => OriginField::XForwardedFor,
        Some("X-Forwarded-For") => OriginField::XForwardedFor,
        Some("Forwarded") => OriginField::Forwarded,
        _ => {
            let wrong = wrong(format!("{} is no field that proxies say it by.", value["header"]));
            return Err(wrong.fix("Use X-Forwarded-For or Forwarded.").at("header"));
        }
    };
    let field = if who == Trusted::Nobody { OriginField::default() } else { field };
    Ok(TrustedProxies { who, field })
}

//! Policies of access for the bench, the same for Organza and for Envoy: each of ten rules by address and path, the last rule of the last lets the callers in.
//! Tokens are of one issuer whose key stands in `bench/jwks.json`; the one that callers bring, `bench/token`, is good until 2100.

use anyhow::{Context, Result};
use std::fmt::Write;

const RULES: usize = 10;

/// What callers bring.
pub fn token() -> Result<String> {
    text("token")
}

fn text(name: &str) -> Result<String> {
    let path = crate::root().join("bench").join(name);
    Ok(std::fs::read_to_string(&path).with_context(|| path.display().to_string())?.trim().to_owned())
}

/// The address block and the path of a rule.
fn rule(policies: usize, policy: usize, rule: usize) -> (String, u8, String) {
    if policy + 1 == policies && rule + 1 == RULES {
        return ("127.0.0.0".to_owned(), 8, "/items".to_owned());
    }
    (format!("10.{}.{}.0", policy % 256, policy / 256 * RULES + rule), 24, format!("/api/{policy}/{rule}"))
}

/// What policies are for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    reference: &'static str,
    /// Requests are read there. Of bytes nobody knows a path, and a rule that names one lets none through.
    is_read: bool,
}

const OF_SERVICE: &str = "group: \"\", kind: Service, name: bench";
/// The Gateway `bench`, and the Service as one of requests and as one of bytes.
pub const GATEWAY: Target = Target { reference: "group: gateway.networking.k8s.io, kind: Gateway, name: bench", is_read: true };
pub const SERVICE: Target = Target { reference: OF_SERVICE, is_read: true };
pub const BYTES: Target = Target { reference: OF_SERVICE, is_read: false };

/// Objects for the Gateway `bench`.
pub fn objects(policies: usize, token: bool) -> Result<String> {
    objects_for(GATEWAY, policies, token)
}

pub fn objects_for(target: Target, policies: usize, token: bool) -> Result<String> {
    let Target { reference: target, is_read } = target;
    let mut out = String::new();
    for policy in 0..policies {
        write!(
            out,
            "---\napiVersion: organza.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {{ name: p{policy} }}\nspec:
  targetRefs: [{{ {target} }}]\n  action: Allow\n  rules:\n"
        )?;
        for at in 0..RULES {
            let (block, length, path) = rule(policies, policy, at);
            let destinations = if is_read { format!(", destinations: [{{ paths: [{{ value: {path} }}] }}]") } else { String::new() };
            writeln!(out, "  - {{ sources: [{{ type: IPBlock, ipBlock: {{ cidr: {block}/{length} }} }}]{destinations} }}")?;
        }
    }
    if token {
        write!(
            out,
            "---\napiVersion: organza.dev/v1alpha1\nkind: TokenIssuer\nmetadata: {{ name: bench }}\nspec:
  targetRefs: [{{ {target} }}]
  issuer: bench\n  audiences: [bench]\n  algorithms: [EdDSA]\n  jwks: {{ inline: '{}' }}\n",
            text("jwks.json")?
        )?;
    }
    Ok(out)
}

/// The filters of Envoy that do the same, tokens first. Its cache of tokens is on, as Organza has one.
pub fn filters(policies: usize, token: bool) -> Result<String> {
    let mut out = String::new();
    if token {
        write!(
            out,
            "          - name: envoy.filters.http.jwt_authn
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers: {{ bench: {{ issuer: bench, audiences: [bench], forward: true, jwt_cache_config: {{ jwt_cache_size: 1000 }}, local_jwks: {{ inline_string: '{}' }} }} }}
              rules: [{{ match: {{ prefix: / }}, requires: {{ provider_name: bench }} }}]\n",
            text("jwks.json")?
        )?;
    }
    if policies > 0 {
        out.push_str(
            "          - name: envoy.filters.http.rbac
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:\n                action: ALLOW\n                policies:\n",
        );
    }
    for policy in 0..policies {
        for at in 0..RULES {
            let (block, length, path) = rule(policies, policy, at);
            writeln!(
                out,
                "                  p{policy:04}-{at}: {{ permissions: [{{ url_path: {{ path: {{ prefix: {path} }} }} }}], principals: [{{ direct_remote_ip: {{ address_prefix: {block}, prefix_len: {length} }} }}] }}"
            )?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;

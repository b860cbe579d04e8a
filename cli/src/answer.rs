//! Who asked and what was answered, as a line of the access log has it, in a few words for people.

use serde_json::Value;

/// The codes of gRPC, by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// `503`, `gRPC 7 PERMISSION_DENIED`, or `–` for a request that was not answered. None for what has no answers: bytes.
pub fn of(record: &Value) -> Option<String> {
    let number = |name: &str| record.get(name).and_then(Value::as_u64);
    if let Some(code) = number("grpc_status").filter(|code| *code != 0) {
        let name = usize::try_from(code).ok().and_then(|code| GRPC.get(code));
        return Some(format!("gRPC {code}{}", name.map(|name| format!(" {name}")).unwrap_or_default()));
    }
    number("response_code").map(|status| if status == 0 { "–".into() } else { status.to_string() })
}

/// `a stranger at 10.0.0.9:4711`, of a line of a gateway: whoever calls there proves nothing by its connection, and the principal is the gateway's own.
pub fn stranger(record: &Value) -> Option<String> {
    let word = |name: &str| record.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    word("listener")?;
    word("client_address").or_else(|| word("source_address")).map(|address| format!("a stranger at {address}"))
}

#[cfg(test)]
mod tests;

//! What a caller was answered, as a line of the access log has it, in a few words for people.

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

#[cfg(test)]
mod tests;

//! The part of OpenTelemetry's protocol (OTLP 1.x, traces and logs) that Organza sends; names and numbers are the standard's. Written by hand: it is
//! small, stable, and only ever written by us, never read but for what a collector refuses.

use prost::{Enumeration, Message, Oneof, encode_length_delimiter, length_delimiter_len};
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::{Body, StdError, http::uri::PathAndQuery};

/// Where spans go by gRPC.
pub const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Where lines of the access log go by gRPC.
pub const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

#[derive(Clone, PartialEq, Message)]
pub struct TracesRequest {
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Each a [`Span`], encoded already: the wire knows no difference.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub spans: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LogsRequest {
    #[prost(message, repeated, tag = "1")]
    pub resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Each a [`LogRecord`], encoded already.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub log_records: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub time_unix_nano: u64,
    /// 9 is `INFO`, 17 `ERROR`.
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    #[prost(string, tag = "3")]
    pub severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    pub observed_time_unix_nano: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    Unspecified = 0,
    Internal = 1,
    Server = 2,
    Client = 3,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub code: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StatusCode {
    Unset = 0,
    Ok = 1,
    Error = 2,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

/// Attributes of a span or a record, encoded as they come, without a copy of their names and texts: they are most of what is sent.
/// (What encodes them can fail where there is no room, and a vector grows.)
#[derive(Debug, Clone)]
pub struct Attributes {
    encoded: Vec<u8>,
    /// Before each.
    key: u8,
}

/// Of a field that has a length: few numbers of fields are so large that they take two bytes, and none of these.
const fn with_length(field: u8) -> u8 {
    field << 3 | 2
}

impl Attributes {
    pub fn of_span() -> Self {
        Self { encoded: Vec::new(), key: with_length(9) }
    }

    pub fn of_record() -> Self {
        Self { encoded: Vec::new(), key: with_length(6) }
    }

    /// A name is a beginning and the rest.
    pub fn text(&mut self, name: (&str, &str), text: &str) {
        let length = 1 + length_delimiter_len(text.len()) + text.len();
        self.begin(name, length);
        self.field(with_length(1), text.len());
        self.encoded.extend_from_slice(text.as_bytes());
    }

    pub fn put(&mut self, name: (&str, &str), value: Value) {
        let value = AnyValue { value: Some(value) };
        self.begin(name, value.encoded_len());
        let _ = value.encode(&mut self.encoded);
    }

    /// Up to the value, which is so long.
    fn begin(&mut self, name: (&str, &str), value: usize) {
        let named = name.0.len() + name.1.len();
        let of = |length: usize| 1 + length_delimiter_len(length) + length;
        self.field(self.key, of(named) + of(value));
        self.field(with_length(1), named);
        self.encoded.extend_from_slice(name.0.as_bytes());
        self.encoded.extend_from_slice(name.1.as_bytes());
        self.field(with_length(2), value);
    }

    fn field(&mut self, key: u8, length: usize) {
        self.encoded.push(key);
        let _ = encode_length_delimiter(length, &mut self.encoded);
    }

    /// All of what has them: a message is its fields one after another, in any order.
    pub fn behind(&self, rest: &impl Message) -> Vec<u8> {
        let mut all = Vec::with_capacity(rest.encoded_len() + self.encoded.len());
        let _ = rest.encode(&mut all);
        all.extend_from_slice(&self.encoded);
        all
    }
}

/// What a collector answers: of traces and of logs the same, but for the words.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// What is sent.
pub trait Sent: Message + Default + 'static {}
impl Sent for TracesRequest {}
impl Sent for LogsRequest {}

/// For those who send by HTTP.
pub fn bytes(request: &impl Sent) -> Vec<u8> {
    request.encode_to_vec()
}

/// For those who send by gRPC on connections of their own: with its five bytes before it.
pub fn framed(request: &impl Sent) -> bytes::Bytes {
    crate::health::framed(request)
}

/// The answer to it.
///
/// # Errors
/// If it is not one message of that kind, or compressed.
pub fn unframed(body: &[u8]) -> Result<Answer, String> {
    read(crate::health::message(body).ok_or("it answered what is no message")?)
}

/// What one of these says.
///
/// # Errors
/// If it is no protobuf.
pub fn read<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
    M::decode(bytes).map_err(|error| error.to_string())
}

/// Sends one request by gRPC.
///
/// # Errors
/// What the collector or the way there says.
pub async fn export<S, M>(service: S, method: &'static str, request: M) -> Result<Answer, tonic::Status>
where
    S: GrpcService<tonic::body::Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: Body<Data = bytes::Bytes> + Send + 'static,
    <S::ResponseBody as Body>::Error: Into<StdError> + Send,
    M: Sent,
{
    let mut client = Grpc::new(service);
    client.ready().await.map_err(|error| tonic::Status::unavailable(error.into().to_string()))?;
    let codec = tonic_prost::ProstCodec::<M, Answer>::default();
    let answer = client.unary(tonic::Request::new(request), PathAndQuery::from_static(method), codec).await?;
    Ok(answer.into_inner())
}

#[cfg(test)]
mod tests;

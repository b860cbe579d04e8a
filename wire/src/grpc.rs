//! The gRPC services between a proxy and its control plane. An encoded resource is a `Bytes` inside the response: N proxies share one
//! encoding, and each stream only copies it into its frame. Never knows how a connection is made.

pub use crate::generated::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as DiscoveryClient;
pub use crate::generated::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService as Discovery, AggregatedDiscoveryServiceServer as DiscoveryServer,
};
pub use crate::generated::organza::wire::v1::certificates_client::CertificatesClient;
pub use crate::generated::organza::wire::v1::certificates_server::{Certificates, CertificatesServer};
pub use crate::generated::organza::wire::v1::telemetry_client::TelemetryClient;
pub use crate::generated::organza::wire::v1::telemetry_server::{Telemetry, TelemetryServer};

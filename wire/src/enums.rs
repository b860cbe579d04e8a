//! Closed words, once for both directions. A number that this release does not know is refused, never read as some default.

use crate::v1;
use model::backend::InvalidBackend;

/// A word of the model that has a number on the wire.
pub(crate) trait Word: Sized + Copy {
    fn number(self) -> i32;
    fn from_number(number: i32) -> Option<Self>;
}

macro_rules! words {
    ($model:ty = $wire:ty { $($name:ident),* $(,)? }) => {
        impl Word for $model {
            fn number(self) -> i32 {
                match self { $(Self::$name => <$wire>::$name as i32,)* }
            }
            fn from_number(number: i32) -> Option<Self> {
                match <$wire>::try_from(number).ok()? { $(<$wire>::$name => Some(Self::$name),)* <$wire>::Unspecified => None }
            }
        }
    };
}

words!(model::AppProtocol = v1::AppProtocol { Detect, Http, Http2, Grpc, Tcp, Tls, Udp });
words!(model::Health = v1::Health { Healthy, Unhealthy, Draining });
words!(model::InitialHealth = v1::InitialHealth { Healthy, Unhealthy });
words!(model::ListenerProtocol = v1::ListenerProtocol { Http, Https, TlsTerminate, TlsPassthrough, Tcp, Udp });
words!(model::Nearest = v1::Nearest { Node, Zone, Region });
words!(model::traffic::ProxyHeader = v1::ProxyHeader { V1, V2 });
words!(model::telemetry::CollectorProtocol = v1::CollectorProtocol { Grpc, Http });
words!(model::Normalisation = v1::Normalisation { None, Base, MergeSlashes, DecodeSlashes });
words!(model::RouteProtocol = v1::RouteProtocol { Http, Grpc, Tcp, Tls, Udp });
words!(model::session::Carrier = v1::SessionCarrier { Cookie, PermanentCookie, Header });
words!(model::Scheme = v1::Scheme { Http, Https });
words!(InvalidBackend = v1::InvalidReason { BackendNotFound, RefNotPermitted, InvalidKind, UnsupportedProtocol, UnsupportedValue });
words!(model::access::Tier = v1::AccessTier { Admin, Namespace, Baseline });
words!(model::access::Action = v1::AccessAction { Allow, Deny });
words!(model::access::Enforcement = v1::AccessEnforcement { Enforce, DryRun });
words!(model::access::DefaultAccess = v1::DefaultAccess { Allow, AllowMeshed, Deny });
words!(model::access::Mtls = v1::Mtls { Strict, Permissive });
words!(model::access::Egress = v1::Egress { Any, Registered });
words!(model::token::Algorithm = v1::TokenAlgorithm { Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, EdDsa });
words!(model::access::ExplainDenials = v1::ExplainDenials { Never, Meshed });

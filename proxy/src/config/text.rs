//! Values of the model as text in JSON: `model` itself knows no serde.

use model::{Key, SpiffeId, TrustDomain};
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::fmt::Display;

pub(super) trait Text: Sized + Display {
    fn read(text: &str) -> Result<Self, String>;
}

impl Text for Key {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("{text:?} is no key (`source/kind/namespace/name`)"))
    }
}

impl Text for SpiffeId {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{text:?} {error}"))
    }
}

impl Text for TrustDomain {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

pub(super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) mod list {
    use super::{Deserialize, Deserializer, Display, Error, Serializer, Text};

    pub fn serialize<S: Serializer>(values: &[impl Display], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| T::read(text).map_err(D::Error::custom)).collect()
    }
}

//! Consumers of APIs and what they used of them, as the proxies told that read their keys. No key stands here, nor its hash.

use super::Condition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerList {
    pub generation: u64,
    pub items: Vec<Consumer>,
    /// For how many days what was used is remembered.
    pub days: u64,
}

/// One consumer; the figures are those of all its APIs together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    pub namespace: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// As policies name them: `shop/gold`.
    pub groups: Vec<String>,
    /// How many keys are believed to be its own.
    pub keys: u32,
    #[serde(flatten)]
    pub used: Used,
    /// When its key was first and last brought; nothing where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
    pub apis: Vec<ConsumedApi>,
    /// Of the first target that refuses it, else of the first.
    pub conditions: Vec<Condition>,
    /// Proxies that have it as it is in force, of those that are connected.
    pub applied: u32,
    pub concerned: u32,
}

/// Requests, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub requests: u64,
    /// Of those: refused by policies of access or limits.
    pub refused: u64,
    /// Of the rest: answered with a 4xx.
    pub client_errors: u64,
    /// Of the rest: answered with a 5xx, or not at all.
    pub failures: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumedApi {
    /// `HTTPRoute shop/orders` at a gateway, `Service shop/orders` beside a workload.
    pub api: String,
    #[serde(flatten)]
    pub used: Used,
    pub first_seen: u64,
    pub last_seen: u64,
    /// Days on which it was used, the oldest first; only where `?days=true` asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_day: Vec<ConsumedDay>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumedDay {
    /// When it began (UTC).
    pub day: u64,
    #[serde(flatten)]
    pub used: Used,
}

//! A YAML value that knows where each of its parts stands. Read in one pass, then split into the plain value and the places.

use crate::Place;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

macro_rules! scalar {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, value: $type) -> Result<Node, E> {
            Ok(Node::Scalar(Value::from(value)))
        })*
    };
}

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of YAML")
    }

    scalar!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_str: &str, visit_string: String);

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map: Vec<(Spanned<String>, Spanned<Node>)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            map.push((key, value));
        }
        Ok(Node::Map(map))
    }
}

/// The plain value; the place of each part goes into `spans` under its path. A field's place is that of its name.
pub fn into_value(node: Spanned<Node>, file: &Arc<str>, path: &str, spans: &mut BTreeMap<String, Place>) -> Value {
    let at =
        |location: &serde_saphyr::Location| Place { file: file.clone(), line: location.line() as u32, column: location.column() as u32 };
    spans.entry(path.to_owned()).or_insert_with(|| at(&node.referenced));
    match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => {
            let each = items.into_iter().enumerate().map(|(i, item)| into_value(item, file, &format!("{path}[{i}]"), spans));
            Value::Array(each.collect())
        }
        Node::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let inner = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                spans.insert(inner.clone(), at(&key.referenced));
                map.insert(key.value, into_value(value, file, &inner, spans));
            }
            Value::Object(map)
        }
    }
}

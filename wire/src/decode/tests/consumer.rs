//! Consumers, every word said; and what is no key.

use super::{key, origin};
use crate::v1;
use crate::{decode_noting, encode};
use model::access::AccessTarget;
use model::consumer::{Consumer, KeyPlace};
use model::{Kind, Resource};
use prost::Message;
use std::sync::Arc;

pub fn consumer() -> Consumer {
    Consumer {
        key: key(Kind::Consumer, "consumer.acme"),
        origin: origin("Consumer"),
        targets: vec![AccessTarget::Gateway(key(Kind::Gateway, "edge"))],
        keys: vec![[7; 32], [8; 32]],
        groups: vec!["shop/gold".into()],
        from: vec![KeyPlace::Header("x-api-key".into()), KeyPlace::Query("key".into()), KeyPlace::Cookie("key".into())],
        required: false,
        passed_on: true,
    }
}

#[test]
fn what_is_no_hash_is_named_and_no_key_is_believed() {
    let bytes = encode(&Resource::Consumer(Arc::new(consumer())));
    let mut message = v1::Resource::decode(&*bytes).unwrap();
    let Some(v1::resource::Resource::Consumer(consumer)) = &mut message.resource else { panic!("{message:?}") };
    consumer.hashes[1] = vec![7; 31].into();
    let (read, note) = decode_noting(&message.encode_to_vec()).unwrap();
    let Resource::Consumer(read) = read else { panic!("a consumer that is left out would demand nothing") };
    assert!(read.keys.is_empty());
    assert_eq!(note.as_deref(), Some("hashes[1] is not 32 bytes long: no key is believed"));
}

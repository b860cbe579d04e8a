use super::*;
use model::access::AccessTarget;
use model::{ObjectRef, Origin, Source};

fn consumer(name: &str, required: bool) -> Resource {
    Resource::Consumer(Arc::new(Consumer {
        key: Key::new(Source::files(), Kind::Consumer, "shop", &format!("consumer.{name}")),
        origin: Origin::new(ObjectRef::new("organza.dev", "Consumer", "shop", name), ""),
        targets: vec![AccessTarget::Namespace("shop".into())],
        keys: vec![[7; 32]],
        groups: Vec::new(),
        from: Vec::new(),
        required,
        passed_on: false,
    }))
}

#[test]
fn what_is_known_stays_the_same_value_and_what_is_not_is_closed() {
    let item = |resource: Resource| {
        let encoded = Arc::new(Encoded::new(&resource));
        (resource.key().clone(), crate::world::Item { resource, encoded, modified: 1 })
    };
    let items: BTreeMap<_, _> = [item(consumer("acme", true)), item(consumer("guest", false))].into();
    let world = World { generation: 1, items, ..World::default() };
    let set: Set = world.items.values().map(|item| item.encoded.clone()).collect();
    assert!(without(&set, &world, &[]).is_none());
    assert!(without(&set, &world, &[Kind::RateLimit]).is_none(), "none of that kind is there");
    let (closed, withheld) = without(&set, &world, &[Kind::Consumer]).unwrap();
    let names: Vec<_> = closed.names().map(ToString::to_string).collect();
    assert_eq!((names, withheld.len()), (vec!["files/access/shop/consumer.acme".to_owned()], 2));
    let denial = Key::parse(&closed.items()[0].name).unwrap();
    assert!(stands_in(&denial) && !stands_in(&Key::parse("files/access/shop/accesspolicy.acme").unwrap()));
    // Gone from the world meanwhile: it is not sent, and is said.
    let (none, withheld) = without(&set, &World::default(), &[Kind::Consumer]).unwrap();
    assert_eq!((none.items().len(), withheld.len()), (0, 2));
}

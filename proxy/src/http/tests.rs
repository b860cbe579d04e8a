//! How much a connection holds while it waits, and a request while it is carried: each of many thousands pays for a future that grows.

use super::*;
use crate::tests::{Mesh, Proxy, key};
use model::Kind;

/// A connection at a proxy, and its caller's end.
pub(super) fn served(web: &Proxy) -> (Stream, Served) {
    let ingress = Ingress::Service { service: key(Kind::Service, "catalog"), port: 80 };
    let client = Client::new(ingress, None, web.worker.unknown(), Security::Plain);
    let (stream, caller) = Stream::pair(64);
    (caller, Served { worker: web.worker.clone(), connection: h1::Connection::new(stream), client, carried: 1 })
}

#[test]
fn who_waits_and_what_is_carried_hold_so_much() {
    rt::run(async { sizes() }).unwrap();
}

fn sizes() {
    let web = Mesh::new().proxy("web");
    let (_caller, Served { worker, connection, client, .. }) = served(&web);
    let idle = size_of_val(&*serve(worker, connection, client));
    assert!(idle <= 1_024, "a connection that waits for a request holds {idle} bytes");
    let carried = size_of_val(&carry(&mut served(&web).1));
    assert!(carried <= 8_704, "a clerk holds {carried} bytes");
}

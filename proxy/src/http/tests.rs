//! How much a connection holds while it waits, and a request while it is carried: each of many thousands pays for a future that grows.

use super::*;
use crate::tests::{Mesh, key};
use model::Kind;

#[test]
fn who_waits_and_what_is_carried_hold_so_much() {
    rt::run(async { sizes() }).unwrap();
}

fn sizes() {
    let web = Mesh::new().proxy("web");
    let connection = || h1::Connection::new(Stream::pair(64).0);
    let client = || {
        let ingress = Ingress::Service { service: key(Kind::Service, "catalog"), port: 80 };
        Client::new(ingress, None, web.worker.unknown(), Security::Plain)
    };
    let idle = size_of_val(&*serve(web.worker.clone(), connection(), client()));
    assert!(idle <= 1_024, "a connection that waits for a request holds {idle} bytes");
    let (mut connection, client) = (connection(), client());
    let carried = size_of_val(&carry(&web.worker, &mut connection, &client, 1));
    assert!(carried <= 3_400, "a request holds {carried} bytes besides what its tries do");
}

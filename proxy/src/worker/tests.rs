use super::*;
use crate::tests::quiet::{Network, on};
use crate::tests::resources::{HTTP, Place, catalog};
use crate::tests::{Mesh, key};
use model::{Kind, Resource};

#[test]
fn names_that_are_kept_ready_are_so_many_and_no_more() {
    on(Network::Nowhere, async {
        let worker = Mesh::new().proxy("web").worker;
        let all = catalog(&[Place::plain("catalog-1", 9)]);
        let [Resource::Service(service), Resource::Endpoints(endpoints), ..] = &all[..] else { panic!("{all:?}") };
        let mut held = Vec::new();
        for i in 0..=limits::LABELS {
            let name = format!("n{i}");
            let place = (key(Kind::Service, &name), Some(HTTP));
            worker.peer(&worker.snapshot(), &Endpoint { id: name.clone().into(), ..endpoints.endpoints[0].clone() });
            worker.destination(&Service { key: place.0.clone(), ..Service::clone(service) });
            held.push(worker.guard(&place));
        }
        assert_eq!([worker.peers.borrow().len(), worker.destinations.borrow().len(), worker.known_guards.borrow().len()], [1, 1, 1]);
        // What somebody holds is the proxy's and stays; the rest goes when there is too much.
        assert!((0..=limits::LABELS).all(|i| worker.shared.guards.knows(&(key(Kind::Service, &format!("n{i}")), Some(HTTP)))));
        drop(held);
        worker.guard(&(key(Kind::Service, "another"), Some(HTTP)));
        assert!(!worker.shared.guards.knows(&(key(Kind::Service, "n0"), Some(HTTP))));
    });
}

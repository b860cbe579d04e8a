use super::*;
use crate::tests::resources::{Place, catalog};
use model::{Change, Resource};

#[test]
fn a_proxy_knows_its_own_workload_from_one_of_the_same_identity_and_port() {
    let names = ["catalog-1", "catalog-2", "catalog-3"];
    let tunnel = |last: u8| SocketAddr::from(([10, 0, 0, last], 15_008));
    let places: Vec<Place> = names.iter().zip(1..).map(|(name, last)| Place::organza(name, tunnel(last), 8080)).collect();
    let mut all = catalog(&places);
    for resource in &mut all {
        if let Resource::Workload(workload) = resource {
            let workload = Arc::make_mut(workload);
            workload.key = Key::new(Source::organza(), Kind::Workload, "shop", &workload.key.name);
        }
    }
    let changes: Vec<Change> = all.into_iter().map(Change::Put).collect();
    let snapshot = snapshot::Snapshot::default().apply(1, &changes, &BTreeMap::new());
    for name in names {
        assert_eq!(own_workload(&snapshot, "shop", name).map(|w| &*w.key.name), Some(name));
    }
    assert!(own_workload(&snapshot, "shop", "catalog").is_none(), "one that is not told of yet is nobody");
}

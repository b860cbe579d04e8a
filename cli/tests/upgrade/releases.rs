//! Programs of two releases in one mesh: a control plane with proxies of the release before it and of the one after it, what they are told while it
//! runs, what they tell, and the way there and back. `ORGANZA_OLDER` names a program of another release; without it this one plays both.

use super::{Scene, finish, load, release};
use crate::common::{SOON, json};
use std::path::{Path, PathBuf};
use testkit::client::{Shot, fetch};
use testkit::process::{Mesh, eventually, organza};

/// A route of the gateway, and a rule that `items` itself is to keep.
const NEWS: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: later}
spec:
  parentRefs: [{name: shop, sectionName: http}]
  hostnames: [later]
  rules:
  - backendRefs: [{name: items, port: 80}]
---
apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {name: closed}
spec:
  targetRefs: [{kind: Service, name: items}]
  action: Deny
  rules:
  - name: closed
    destinations: [{paths: [{value: /closed}]}]
";

async fn answer(shot: &Shot) -> u16 {
    fetch(shot).await.map_or(0, |(status, ..)| status.as_u16())
}

async fn until(what: &str, shot: &Shot, wanted: u16) {
    let asked = async {
        while answer(shot).await != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, asked).await.is_ok(), "{what}: not {wanted}");
}

impl Scene {
    fn asked(&self, program: &Path, what: &str) -> serde_json::Value {
        let output = self.mesh.by(program, &["get", what, "-A", "-o", "json"]).output().expect("it runs");
        assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
        json(&String::from_utf8_lossy(&output.stdout))
    }

    /// All of the mesh holds what was written, has refused nothing, and what it carries is told.
    fn is_told(&self, program: &Path) {
        let hold = |proxies: &serde_json::Value| {
            let all = proxies["items"].as_array().expect("a list");
            let newest = all.iter().filter_map(|proxy| proxy["acknowledged"].as_u64()).max();
            let is_well = |proxy: &serde_json::Value| {
                proxy["connected"] == true && proxy["acknowledged"].as_u64() == newest && proxy.get("refused").is_none()
            };
            all.len() == 5 && all.iter().all(is_well)
        };
        eventually("each proxy holds what was written", SOON, || hold(&self.asked(program, "proxies")));
        let told = || -> u64 {
            let edges = self.asked(program, "edges");
            let to_items = edges["items"].as_array().into_iter().flatten().filter(|edge| edge["service"] == "items");
            to_items.filter_map(|edge| edge["requests"].as_u64()).sum()
        };
        let before = told();
        eventually("what is carried is told", SOON, || told() > before);
    }
}

/// A mesh whose control plane and gateway run `above` and whose members run `below`; then all becomes `below`, and `above` again.
async fn side_by_side(above: &Path, below: &Path) {
    let scene = Scene::of(above, below).await;
    let load = load(&scene);
    [above, below].iter().for_each(|program| scene.is_told(program));
    let inside = |path: &str| Shot::get(scene.items, "items", path);
    assert_eq!(answer(&inside("/closed")).await, 200);
    scene.mesh.write("news.yaml", NEWS);
    until("a later route", &Shot::get(scene.gateway, "later", "/"), 200).await;
    until("a closed path", &inside("/closed"), 403).await;
    [above, below].iter().for_each(|program| scene.is_told(program));
    for program in [below, above] {
        let (code, said) = scene.upgrade(program);
        assert_eq!(code, 0, "{said}\nup said:\n{}", scene.up.output());
        let running: Vec<_> = scene.running().into_iter().map(|(.., exe)| exe).collect();
        assert!(running.iter().filter(|exe| **exe == program).count() >= 11, "{program:?} of {running:#?}");
        assert_eq!(answer(&inside("/closed")).await, 403, "what is in force stays so");
        scene.is_told(program);
    }
    let all = finish(load).await;
    assert_eq!(all.lost(), 0, "{all:?}\nup said:\n{}", scene.up.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_serves_proxies_of_the_release_before_and_of_the_one_after() {
    let place = Mesh::new();
    let older = std::env::var_os("ORGANZA_OLDER").map(PathBuf::from);
    let new = release(place.home(), "organza-new", &organza());
    let old = release(place.home(), "organza-old", older.as_ref().unwrap_or(&organza()));
    side_by_side(&new, &old).await;
    // With itself it is the same in both directions.
    if older.is_some() {
        side_by_side(&old, &new).await;
    }
}

use super::*;

fn object(api_version: &str, kind: &str, name: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n---\n")
}

/// A folder as people have it who deploy to a cluster.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("organza-files-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web, namespace: shop}\nspec: {parentRefs: [{name: edge}]}\n---\n";
    let web = [object("apps/v1", "Deployment", "web"), object("v1", "ServiceAccount", "web"), object("v1", "ConfigMap", "web")].concat();
    std::fs::write(folder.join("web.yaml"), format!("{web}{route}")).unwrap();
    // What is laid over a base has its names.
    let over = [object("apps/v1", "Deployment", "shop"), object("apps/v1", "Deployment", "web")].concat();
    std::fs::write(folder.join("shop.yaml"), over).unwrap();
    let list = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [web.yaml]\n";
    std::fs::write(folder.join("kustomization.yaml"), list).unwrap();
    folder
}

#[test]
fn what_others_read_is_passed_over_in_files_for_a_cluster_and_counted() {
    let paths = [folder("others")];
    let (loaded, passed_over) = read_for(&paths, For::Cluster).unwrap();
    let kinds: Vec<&str> = loaded.objects.iter().map(|object| &*object.object.kind).collect();
    assert_eq!((kinds, loaded.texts.len()), (vec!["ConfigMap", "HTTPRoute"], 3));
    assert_eq!(
        passed_over.to_string(),
        "passed over: 5 objects that Organza does not read: \
         3 Deployment of apps/v1, 1 Kustomization of kustomize.config.k8s.io/v1beta1, 1 ServiceAccount of v1"
    );
    // Off Kubernetes nobody else reads them.
    let (loaded, passed_over) = judged(&paths, For::Mesh).unwrap();
    assert_eq!((loaded.problems.len(), passed_over), (6, PassedOver::default()));
    let hinted = |problem: &&frontends::file::Located| problem.report.fix.as_ref().is_some_and(|fix| fix.contains("--context"));
    assert_eq!(loaded.problems.iter().filter(hinted).count(), 5, "that two are of one name is another matter");
    assert!(read(&paths).is_err());
    std::fs::remove_dir_all(&paths[0]).unwrap();
}

#[test]
fn what_was_to_be_ours_is_a_problem_in_files_for_a_cluster_too() {
    let paths = [folder("typed")];
    std::fs::write(paths[0].join("typed.yaml"), object("gateway.networking.k8s.io/v1", "HttpRoute", "typed")).unwrap();
    let failure = read_for(&paths, For::Cluster).unwrap_err();
    assert!(failure.what.contains("HttpRoute") && failure.what.contains("HTTPRoute"), "{}", failure.what);
    let (loaded, passed_over) = judged(&paths, For::Cluster).unwrap();
    assert_eq!((loaded.problems.len(), passed_over.0.len()), (1, 3));
    std::fs::remove_dir_all(&paths[0]).unwrap();
}

#[test]
fn of_many_kinds_some_are_named_and_the_rest_counted() {
    let all = |kinds: usize| PassedOver((0..kinds).map(|kind| (format!("K{kind} of v1"), 1)).collect()).to_string();
    assert_eq!(all(1), "passed over: 1 object that Organza does not read: 1 K0 of v1");
    let named = limits::KINDS_NAMED;
    assert!(all(named).ends_with(&format!("1 K{} of v1", named - 1)));
    assert!(all(named + 1).ends_with(&format!("1 K{} of v1, and 1 more kind", named - 1)));
    assert!(all(named + 2).ends_with(", and 2 more kinds"));
}

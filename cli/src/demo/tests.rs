use super::*;

#[test]
fn so_many_demos_run_side_by_side_and_no_more() {
    let folder = std::env::temp_dir().join(format!("organza-demos-{}", std::process::id()));
    let next = || free_place(|name| Ok(Place::at(&folder.join(name), name)));
    let mut taken: Vec<_> = (0..limits::DEMOS).map(|_| next().expect("a place")).collect();
    assert_eq!((&*taken[0].0.mesh, &*taken[1].0.mesh), ("demo", "demo-2"));
    assert!(next().expect_err("there is none left").what.contains("is already up"));
    taken.remove(7);
    assert_eq!(next().expect("the one that is free").0.mesh, "demo-8");
    std::fs::remove_dir_all(folder).expect("cleaned");
}

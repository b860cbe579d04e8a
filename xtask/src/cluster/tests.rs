use super::*;

#[test]
fn a_name_fits_everywhere() {
    assert!(Cluster::named("tests-2").is_ok());
    for bad in ["", "Tests", "a/b", "..", "a b", "a-name-of-more-than-20"] {
        assert!(Cluster::named(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn shapes() {
    assert_eq!(Shape::read(&[]).unwrap(), Shape::of(1, Release::V1_6));
    assert_eq!(Shape::read(&["--nodes", "2"]).unwrap(), Shape::of(2, Release::V1_6));
    assert_eq!(Shape::read(&["--control-only"]).unwrap(), Shape::ALONE);
    assert_eq!(Shape::read(&["--gateway-api", "v1.7", "--nodes", "1"]).unwrap(), Shape::of(1, Release::V1_7));
    for bad in [&["--nodes", "3"][..], &["--gateway-api", "v2"], &["--gateway-api"], &["more"]] {
        assert!(Shape::read(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_process_is_known_by_its_start() {
    let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
    assert_eq!(ledger::started(stat), Some(98765));
    assert_eq!(ledger::started(&stat.replace(" S ", " Z ")), None);
    assert_eq!(ledger::started("nonsense"), None);
}

#[test]
fn ends_what_it_noted_and_nothing_else() {
    let file = std::env::temp_dir().join(format!("organza-ledger-{}", std::process::id()));
    let ledger = Ledger::at(file.clone());
    let mut mine = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut foreign = Command::new("sleep").arg("1000").spawn().unwrap();
    ledger.note("mine", mine.id()).unwrap();
    // A number that was given away again: the start differs.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}old {} 1\n", foreign.id())).unwrap();
    ledger.end_all().unwrap();
    assert!(!mine.wait().unwrap().success());
    assert!(foreign.try_wait().unwrap().is_none());
    assert_eq!((ledger.alive("mine"), ledger.alive("old")), (None, None));
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    fs::remove_file(file).unwrap();
}

#[test]
fn groups_go_with_those_below_them_and_one_that_is_gone_is_no_error() {
    let folder = std::env::temp_dir().join(format!("organza-group-{}", std::process::id()));
    fs::create_dir_all(folder.join("pod/container")).unwrap();
    node::remove_group(&folder).unwrap();
    assert!(!folder.exists());
    node::remove_group(&folder).unwrap();
    // What cannot go says which it is.
    fs::create_dir_all(folder.join("pod")).unwrap();
    fs::write(folder.join("pod/file"), "").unwrap();
    let error = format!("{:#}", node::remove_group(&folder).unwrap_err());
    assert!(error.contains("/pod: "), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

use super::super::fact::Mark;
use super::*;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

#[test]
fn what_is_open_to_others_or_anothers_is_bad() {
    let judge = |owner, mode| guarded("the folder", Path::new("/x"), Some(Guard { owner, mode }), 7).mark;
    assert_eq!((judge(7, 0o700), judge(7, 0o600)), (Mark::Good, Mark::Good));
    for mode in [0o701, 0o710, 0o777, 0o604] {
        assert_eq!(judge(7, mode), Mark::Bad, "{mode:o}");
    }
    assert_eq!(judge(8, 0o700), Mark::Bad);
    assert_eq!(guarded("the folder", Path::new("/x"), None, 7).mark, Mark::Bad);
}

/// As it is on a disk: sockets and keys of a mesh, one of them opened by mistake.
#[test]
fn a_key_that_was_opened_is_found() {
    let folder = std::env::temp_dir().join(format!("organza-check-{}", std::process::id()));
    let place = Place::at(&folder, "it");
    place.prepare().unwrap();
    std::fs::create_dir_all(folder.join("ca")).unwrap();
    std::fs::create_dir_all(place.proxy("web")).unwrap();
    let files = [place.control_socket(), folder.join("ca/issuing.key"), place.proxy("web").join("svid")];
    let set = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for file in &files {
        std::fs::write(file, b"").unwrap();
        set(file, 0o600);
    }
    let bad = || look(&place).into_iter().filter(|fact| fact.mark == Mark::Bad).map(|fact| fact.says).collect::<Vec<_>>();
    assert_eq!(bad(), [""; 0]);
    for file in &files {
        set(file, 0o644);
        let found = bad();
        assert!(found.len() == 1 && found[0].contains(&*file.to_string_lossy()), "{found:?}");
        set(file, 0o600);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn clock_descriptors_and_ports() {
    let now = SystemTime::now();
    assert_eq!(clock(now, Some(now - Duration::from_secs(60))).mark, Mark::Good);
    assert_eq!(clock(now, Some(now + Duration::from_secs(3600))).mark, Mark::Bad);
    assert_eq!(clock(now, None).mark, Mark::Good);
    assert_eq!(
        (descriptors(Some(256)).mark, descriptors(Some(65_536)).mark, descriptors(None).mark),
        (Mark::Warning, Mark::Good, Mark::Good)
    );
    assert_eq!((loopback(Ok(())).mark, loopback(Err(std::io::Error::other("no"))).mark), (Mark::Good, Mark::Bad));
    assert!(exposed("127.0.0.1:15012").says.contains("this machine alone"));
    assert!(exposed("0.0.0.0:15012").says.contains("other machines"));
    assert_eq!(exposed("nowhere").mark, Mark::Unknown);
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let none = std::env::temp_dir().join(format!("organza-none-{}/b/c", std::process::id()));
    assert_eq!(writable(&none).mark, Mark::Good);
    // A file is no folder, not even to root.
    assert_eq!(writable(Path::new("/proc/version/x")).mark, Mark::Bad);
}

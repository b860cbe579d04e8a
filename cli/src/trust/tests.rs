use super::*;
use crate::failure::Code;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("organza-trust-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_machines_place_and_each_browsers_database_are_found() {
    let root = folder("found");
    let (machine, home) = (root.join("usr/local/share/ca-certificates"), root.join("home"));
    for folder in [&machine, &home.join(".pki/nssdb"), &home.join(".mozilla/firefox/a.default"), &home.join(".mozilla/firefox/empty")] {
        fs::create_dir_all(folder).unwrap();
    }
    for folder in [".pki/nssdb", ".mozilla/firefox/a.default"] {
        fs::write(home.join(folder).join("cert9.db"), "").unwrap();
    }
    let browsers = [".pki/nssdb", ".mozilla/firefox/a.default"].map(|folder| Store::Browser { folder: home.join(folder) });
    let mut wanted = vec![Store::Machine { folder: machine, command: vec!["update-ca-certificates".into()] }];
    wanted.extend(browsers);
    assert_eq!(stores::found(&root, Some(&home)), wanted);
    assert!(stores::found(&root.join("nothing"), None).is_empty());
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn the_machine_is_told_and_forgets() {
    let root = folder("machine");
    let (places, authority) = (root.join("places"), root.join("authority"));
    fs::create_dir_all(&places).unwrap();
    let made = super::authority(&authority).unwrap();
    let store = Store::Machine { folder: places.clone(), command: vec!["true".into()] };
    assert_eq!(store.remove(), Ok(false));
    assert_eq!(store.add(&super::root(&authority), &made.certificate()), Ok(true));
    assert_eq!(fs::read_to_string(places.join("organza-development.crt")).unwrap(), made.certificate());
    assert_eq!(super::authority(&authority).unwrap().certificate(), made.certificate(), "it stays the same one");
    assert_eq!(store.remove(), Ok(true));
    assert_eq!(fs::read_dir(&places).unwrap().count(), 0);
    let store = Store::Machine { folder: places, command: vec!["false".into()] };
    assert!(store.add(&super::root(&authority), &made.certificate()).is_err(), "what does not count is told");
    fs::remove_dir_all(root).unwrap();
}

/// What NSS's `certutil` does to a database, to a file beside it: one certificate by one name, which must be free. `sh` finds its tools by itself.
const CERTUTIL: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
folder=${2#sql:}
echo "$3 $4 $5 $6 $7" >> "$folder/asked"
[ ! -e "$folder/locked" ] || { echo "the database is locked" >&2; exit 255; }
case "$3" in
-A) [ ! -e "$folder/kept" ] && cp "$9" "$folder/kept" ;;
-L) [ -e "$folder/kept" ] ;;
-D) rm "$folder/kept" ;;
esac
"#;
/// Set where this program is run again, with nothing to be found but what a test puts there.
const FINDS: &str = "ORGANZA_TEST_FINDS";

#[test]
fn browsers_are_told_by_certutil_and_forget() {
    let Some(programs) = std::env::var_os(FINDS) else {
        let programs = folder("programs");
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "trust::tests::browsers_are_told_by_certutil_and_forget"]).env(FINDS, &programs).env("PATH", &programs);
        let ran = again.output().unwrap();
        fs::remove_dir_all(programs).unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    let root = folder("browser");
    let (database, kept) = (root.join(".pki/nssdb"), root.join(".pki/nssdb/kept"));
    fs::create_dir_all(&database).unwrap();
    fs::write(database.join("cert9.db"), "").unwrap();
    let (one, other) = (root.join("one"), root.join("other"));
    let [first, second] = [&one, &other].map(|folder| super::authority(folder).unwrap().certificate());
    let stores = stores::found(&root, Some(&root));
    let [store] = &stores[..] else { panic!("{stores:?}") };
    for without in [store.add(&super::root(&one), &first), store.remove()] {
        assert!(without.is_err_and(|why| why.contains("libnss3-tools")), "what is to be installed is told");
    }
    let certutil = Path::new(&programs).join("certutil");
    fs::write(&certutil, CERTUTIL).unwrap();
    fs::set_permissions(&certutil, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(store.remove(), Ok(false), "there was nothing");
    for (folder, certificate) in [(&one, &first), (&one, &first), (&other, &second)] {
        assert_eq!(store.add(&super::root(folder), certificate), Ok(true));
        assert_eq!(fs::read_to_string(&kept).unwrap(), *certificate, "it takes the place of what was there");
    }
    // An authority for servers, and for nothing else (`certutil(1)`).
    let asked = fs::read_to_string(database.join("asked")).unwrap();
    assert!(asked.contains("-A -t C,, -n Organza development authority\n"), "{asked}");
    assert_eq!((store.remove(), kept.exists()), (Ok(true), false));
    fs::write(database.join("locked"), "").unwrap();
    assert_eq!(store.add(&super::root(&one), &first), Err("certutil: the database is locked".into()));
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn its_key_is_its_owners_alone() {
    let root = folder("key");
    let authority = root.join("authority");
    super::authority(&authority).unwrap();
    assert_eq!(fs::metadata(authority.join("authority.key")).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_secret_is_called_after_its_first_name() {
    assert_eq!(secret_name("*.Shop.localhost"), "shop-localhost-tls");
    assert_eq!(secret_name("::1"), "1-tls");
}

#[test]
fn a_secret_is_called_as_objects_may_be() {
    let folder = folder("names");
    let asked = |name: &str, namespace: &str| {
        let args = CertificateArgs { names: vec!["shop.localhost".into()], name: Some(name.into()), namespace: Some(namespace.into()) };
        certificate(&folder, &args)
    };
    for (name, namespace) in [("A", "shop"), ("", "shop"), ("a}", "shop"), ("a", "the shop"), ("a", "shop\nkind: List")] {
        assert!(asked(name, namespace).is_err_and(|failure| failure.code == Code::Usage), "{name:?} in {namespace:?}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing was signed");
    assert!(asked("shop-1.tls", "shop").is_ok());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn where_it_cannot_be_done_is_told_and_it_is_done_elsewhere_all_the_same() {
    let all = ["a", "b", "c"].map(|folder| Store::Browser { folder: folder.into() });
    let asked = RefCell::new(Vec::new());
    let told = each(&all, "trusted by", |store| {
        asked.borrow_mut().push(store.to_string());
        if *store == all[1] { Err("it is full".into()) } else { Ok(true) }
    });
    assert_eq!(told.err().and_then(|failure| failure.why).as_deref(), Some("browsers of b: it is full"));
    assert_eq!(*asked.borrow(), ["browsers of a", "browsers of b", "browsers of c"]);
    assert!(each(&all, "trusted by", |_| Ok(false)).is_ok());
    assert!(each(&[], "trusted by", |_| Ok(true)).is_err(), "it is trusted nowhere");
}

use super::*;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;

fn stored() -> Stored {
    let applied = Applied { version: "v".into(), bytes: b"bytes of a resource"[..].into() };
    let key = Key::parse("files/service/shop/web").unwrap();
    Stored {
        generation: 12,
        held: [(key.clone(), applied)].into(),
        answers: [("host/shop/web".into(), Some(key)), ("host/shop/nobody".into(), None)].into(),
    }
}

/// What is to be kept, and all bytes of it.
fn kept() -> (Kept, Fresh) {
    let Stored { generation, held, answers } = stored();
    (Kept { generation, held: held.iter().map(|(name, applied)| (name.clone(), applied.version.clone())).collect(), answers }, held)
}

fn encoded() -> Vec<u8> {
    let (kept, fresh) = kept();
    let mut file = Cursor::new(Vec::new());
    encode(&mut file, Err::<Pieces<&[u8]>, _>(SnapshotError::Magic), &kept, &fresh).unwrap();
    file.into_inner()
}

#[test]
fn reads_what_it_wrote_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    assert_eq!(read(&path).unwrap(), None);
    let (kept, fresh) = kept();
    write(&path, &kept, &fresh).unwrap();
    assert_eq!(read(&path).unwrap(), Some(stored()));
    write(&path, &kept, &Fresh::new()).unwrap();
    assert_eq!(read(&path).unwrap(), Some(stored()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn every_cut_and_every_changed_byte_is_refused() {
    let whole = encoded();
    for cut in 0..whole.len() {
        assert!(decode(Cursor::new(&whole[..cut])).is_err(), "cut at {cut}");
    }
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        let error = decode(Cursor::new(changed)).unwrap_err();
        let want = if place < 8 { matches!(error, SnapshotError::Magic) } else { matches!(error, SnapshotError::Checksum) };
        assert!(want, "{place}: {error}");
    }
}

#[test]
fn a_name_of_a_later_release_costs_itself_alone() {
    let mut body = encoded()[HEADER as usize..].to_vec();
    let alias = Alias { subscription: "host/shop/dial".into(), name: "files/widget/shop/dial".into() };
    stored::write(&mut body, Piece::Alias(alias)).unwrap();
    body.extend([0x80, 0x7d, 0x07]);
    let whole = [&MAGIC[..], &Sha256::digest(&body), &body].concat();
    assert_eq!(decode(Cursor::new(whole)).unwrap(), stored());
}

fn resource(version: &str) -> Applied {
    Applied { version: version.into(), bytes: format!("bytes of {version}").into_bytes().into() }
}

fn key(name: &str) -> Key {
    Key::parse(&format!("files/service/shop/{name}")).unwrap()
}

fn of(entries: &[(&str, &str)]) -> Fresh {
    entries.iter().map(|(name, version)| (key(name), resource(version))).collect()
}

fn versions(entries: &Fresh) -> Kept {
    Kept { held: entries.iter().map(|(name, applied)| (name.clone(), applied.version.clone())).collect(), ..Kept::default() }
}

#[test]
fn what_changed_comes_with_its_bytes_and_the_rest_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let first = of(&[("a", "a1"), ("b", "b1"), ("c", "c1")]);
    write(&path, &versions(&first), &first).unwrap();
    // One is changed, one is new, one is gone; bytes of what is not held are passed over.
    let then = of(&[("a", "a1"), ("b", "b2"), ("d", "d1")]);
    let fresh = of(&[("b", "b2"), ("d", "d1"), ("c", "c2"), ("a", "a0")]);
    write(&path, &versions(&then), &fresh).unwrap();
    assert_eq!(read(&path).unwrap().unwrap().held, then);
}

#[test]
fn bytes_that_nobody_has_leave_the_file_as_it_is_and_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let first = of(&[("a", "a1"), ("b", "b1")]);
    write(&path, &versions(&first), &first).unwrap();
    let lost = write(&path, &versions(&of(&[("a", "a1"), ("b", "b2"), ("c", "c1")])), &of(&[("c", "c1")])).unwrap_err();
    assert!(matches!(lost, SnapshotError::Lost(1, _)), "{lost}");
    assert_eq!(read(&path).unwrap().unwrap().held, first);
    fs::write(&path, b"OGZSNAP1 and then something else, long enough for a checksum").unwrap();
    let lost = write(&path, &versions(&first), &of(&[("a", "a1")])).unwrap_err().to_string();
    assert_eq!(
        lost,
        "cannot be made anew: 1 resources are neither new nor in the file before, which is cut short or changed: its checksum does not fit"
    );
    // One that cannot be taken apart, though its checksum is right, is no better and no worse.
    let body = [0x13];
    fs::write(&path, [&MAGIC[..], &Sha256::digest(body), &body].concat()).unwrap();
    let lost = write(&path, &versions(&first), &of(&[("a", "a1")])).unwrap_err().to_string();
    assert!(lost.starts_with("cannot be made anew: 1 resources") && lost.contains("cannot be decoded"), "{lost}");
    assert!(!path.with_extension("new").exists(), "no half of it is left");
    // What is asked for again is written when it comes, and the rest is whole without it.
    let mut asked = versions(&first);
    asked.held.insert(key("b"), Version::none());
    write(&path, &asked, &of(&[("a", "a1")])).unwrap();
    assert_eq!(read(&path).unwrap().unwrap().held, of(&[("a", "a1")]));
    // Whoever has all bytes needs no file before.
    write(&path, &versions(&first), &first).unwrap();
    assert_eq!(read(&path).unwrap().unwrap().held, first);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Without a byte on the disk.
    file.as_file().set_len(limits::SNAPSHOT_BYTES + 1).unwrap();
    assert!(matches!(read(file.path()), Err(SnapshotError::TooLarge)));
}

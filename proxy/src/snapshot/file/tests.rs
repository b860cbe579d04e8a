use super::{SnapshotError, Stored, decode, encode, read, write};
use crate::limits;
use sha2::Digest;
use std::os::unix::fs::PermissionsExt;
use wire::delta::Applied;

fn stored() -> Stored {
    let applied = Applied { version: "v".into(), bytes: b"bytes of a resource"[..].into() };
    let key = model::Key::parse("files/service/shop/web");
    Stored {
        generation: 12,
        held: [("files/service/shop/web".into(), applied)].into(),
        answers: [("host/shop/web".into(), key), ("host/shop/nobody".into(), None)].into(),
    }
}

#[test]
fn reads_what_it_wrote_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    assert_eq!(read(&path).unwrap(), None);
    write(&path, &stored()).unwrap();
    write(&path, &stored()).unwrap();
    assert_eq!(read(&path).unwrap(), Some(stored()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn every_cut_and_every_changed_byte_is_refused() {
    let whole = encode(&stored());
    for cut in 0..whole.len() {
        assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        let error = decode(&changed).unwrap_err();
        let want = if place < 8 { matches!(error, SnapshotError::Magic) } else { matches!(error, SnapshotError::Checksum) };
        assert!(want, "{place}: {error}");
    }
}

#[test]
fn a_name_of_a_later_release_costs_itself_alone() {
    let mut message = wire::stored::from_bytes(&encode(&stored())[super::HEADER..]).unwrap();
    message.aliases.push(wire::v1::snapshot::Alias { subscription: "host/shop/dial".into(), name: "files/widget/shop/dial".into() });
    let body = [&wire::stored::to_bytes(&message)[..], &[0x80, 0x7d, 0x07]].concat();
    let whole = [&super::MAGIC[..], &sha2::Sha256::digest(&body), &body].concat();
    assert_eq!(decode(&whole).unwrap(), stored());
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Without a byte on the disk.
    file.as_file().set_len(limits::SNAPSHOT_BYTES + 1).unwrap();
    assert!(matches!(read(file.path()), Err(SnapshotError::TooLarge)));
}

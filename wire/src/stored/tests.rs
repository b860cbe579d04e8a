use super::*;

fn entry(bytes: usize) -> Entry {
    Entry { name: "files/service/shop/web".into(), version: "v".into(), resource: vec![7; bytes].into() }
}

fn read(bytes: &[u8]) -> io::Result<Vec<Piece>> {
    let mut pieces = Pieces::new(bytes);
    std::iter::from_fn(|| pieces.read().transpose()).collect()
}

fn whole() -> (Vec<Piece>, Vec<u8>) {
    let alias = Alias { subscription: "host/shop/web".into(), name: "files/service/shop/web".into() };
    let pieces = vec![Piece::Generation(u64::MAX), Piece::Entry(entry(300)), Piece::Alias(alias), Piece::Entry(entry(0))];
    let mut bytes = Vec::new();
    pieces.iter().for_each(|piece| write(&mut bytes, piece.clone()).unwrap());
    (pieces, bytes)
}

#[test]
fn pieces_come_back_and_are_the_message_that_the_schema_names() {
    let (pieces, bytes) = whole();
    assert_eq!(read(&bytes).unwrap(), pieces);
    let message = Snapshot::decode(&bytes[..]).unwrap();
    assert_eq!((message.generation, message.entries.len(), message.aliases.len()), (u64::MAX, 2, 1));
    assert_eq!(read(&message.encode_to_vec()).unwrap().len(), 4);
}

#[test]
fn fields_of_a_later_release_are_skipped_of_every_kind() {
    let (pieces, bytes) = whole();
    // Fields 500 to 503: a number, eight bytes, some bytes, four bytes.
    let later =
        [&[0xa0, 0x1f, 0x96, 0x01][..], &[0xa9, 0x1f, 1, 2, 3, 4, 5, 6, 7, 8], &[0xb2, 0x1f, 2, 1, 2], &[0xbd, 0x1f, 1, 2, 3, 4]].concat();
    assert_eq!(read(&[&later[..], &bytes, &later].concat()).unwrap(), pieces);
}

#[test]
fn what_is_cut_or_no_message_is_an_error_and_never_a_large_piece() {
    let (pieces, bytes) = whole();
    for cut in 0..bytes.len() {
        if let Ok(read) = read(&bytes[..cut]) {
            assert!(pieces.starts_with(&read) && read.len() < pieces.len(), "cut at {cut}");
        }
    }
    for bad in [&[0x13][..], &[0x07], &[0xff; 11], &[0x12, 0x03, 1, 2], &[0x12, 0x02, 0x0a, 0x09]] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
    let mut large = vec![0x12];
    prost::encoding::encode_varint(limits::STORED_BYTES as u64 + 1, &mut large);
    assert_eq!(read(&large).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

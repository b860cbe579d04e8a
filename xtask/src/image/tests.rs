use super::*;

/// An ELF file with program headers of these types.
fn elf(types: &[u32]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[32] = 64;
    file[54] = 56;
    file[56] = u8::try_from(types.len()).unwrap();
    for kind in types {
        file.extend(kind.to_le_bytes());
        file.extend([0; 52]);
    }
    file
}

#[test]
fn a_program_that_names_a_loader_is_not_static() {
    assert!(is_static(&elf(&[6, 1, 1])));
    assert!(!is_static(&elf(&[6, 3, 1])));
    assert!(!is_static(b"#!/bin/sh\n"));
    assert!(!is_static(&[]));
}

#[test]
fn a_test_is_a_program_with_a_loader() {
    assert!(!is_static(&fs::read("/proc/self/exe").unwrap()));
}

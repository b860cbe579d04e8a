use super::{found, functions, list, symbols};
use std::collections::BTreeMap;

const PROFILE: &str = "\
ob=(1) /target/release/organza
fn=(1) _ZN5proxy3one17h0123456789abcdefE
12 100
cfn=(2) _ZN9transport4send17hffffffffffffffffE
calls=7 0
* 900
fn=(2)
1 70
fn=(3) _ZN5proxy3two17h0123456789abcdefE'2
1 1
cfn=(4) _ZN5proxy3one17haaaaaaaaaaaaaaaaE
calls=9 0
* 900
fn=(5) 0x0000000001db1484
1 1
ob=(2) /lib/libc.so.6
fn=(6) malloc
1 1
";

const SYMBOLS: &str = "\
0000000000001000 t _ZN5proxy3one17h0123456789abcdefE
0000000000001010 t _ZN5proxy3one17haaaaaaaaaaaaaaaaE
0000000000001020 t _ZN5proxy3one17hbbbbbbbbbbbbbbbbE
0000000000001070 T _ZN5proxy3two17h0123456789abcdefE
0000000000001080 W _ZN9transport4send17hffffffffffffffffE
00000000000010a0 d _ZN5proxy4DATA17h0123456789abcdefE
                 U malloc
00000000000010b0 T _start
00000000000010c0 T __libc_start_main
00000000000010d0 T lib_2_aes_gcm_encrypt_avx512
00000000000010e0 t lib_2_mlkem_ntt_asm
";

#[test]
fn what_ran_of_the_program_is_listed_what_requests_alone_need_first_and_the_most_called_in_the_middle() {
    let mut calls = BTreeMap::new();
    functions(PROFILE, "organza", &mut calls);
    let other = BTreeMap::from([("_ZN5proxy3two17h0123456789abcdefE".to_owned(), 1)]);
    let waits = BTreeMap::from([("_ZN9transport4send17hffffffffffffffffE", 1), ("_ZN5proxy3one17h0123456789abcdefE", 0)]);
    let waits = waits.into_iter().map(|(name, times)| (name.to_owned(), times)).collect();
    let list = list(&[calls, other], &waits, &symbols(SYMBOLS), "rustc 1");
    let names: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let wanted = [
        "_ZN5proxy3one17haaaaaaaaaaaaaaaaE",
        "_ZN5proxy3two17h0123456789abcdefE",
        "_ZN9transport4send17hffffffffffffffffE",
        "_ZN5proxy3one17h0123456789abcdefE",
        // What callgrind's processor has not.
        "_start",
        "lib_2_mlkem_ntt_asm",
        "lib_2_aes_gcm_encrypt_avx512",
    ];
    assert_eq!(names, wanted);
    assert_eq!(found(&list, &symbols(SYMBOLS), "rustc 1"), Some((7, 7)));
    let fewer: String = SYMBOLS.lines().filter(|line| !line.contains("two")).map(|line| format!("{line}\n")).collect();
    assert_eq!(found(&list, &symbols(&fewer), "rustc 1"), Some((6, 7)));
    assert_eq!(found(&list, &symbols(SYMBOLS), "rustc 2"), None);
}

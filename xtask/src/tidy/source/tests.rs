use super::*;

fn complaints(file: &str, text: &str) -> Vec<String> {
    of_file(Path::new(file), text)
}

#[test]
fn clocks_are_read_by_drivers_only() {
    let text = "//! Head.\nfn f() {\n    let now = Instant::now();\n}\n";
    assert_eq!(
        complaints("routing/src/balance.rs", text),
        ["routing/src/balance.rs:3: \"Instant::now(\" outside the drivers: time and chance are arguments"]
    );
    for fine in
        ["transport/src/rt.rs", "transport/src/rt/epoll.rs", "cli/src/demo.rs", "routing/src/balance/tests.rs", "proxy/tests/end.rs"]
    {
        assert!(complaints(fine, text).is_empty(), "{fine}");
    }
}

#[test]
fn heads_names_sizes_and_tests_in_their_place() {
    assert_eq!(complaints("model/src/key.rs", "fn f() {}\n"), ["model/src/key.rs:1: no head that says what the module is for"]);
    assert_eq!(complaints("model/src/util.rs", "//! Head.\n").len(), 1);
    assert_eq!(
        complaints("model/src/a.rs", "//! Head.\npub struct KeyManager;\n"),
        ["model/src/a.rs:2: type KeyManager: a name that says nothing"]
    );
    assert_eq!(complaints("model/src/a.rs", "//! Head.\n#[cfg(test)]\nmod tests {\n}\n").len(), 1);
    assert!(complaints("model/src/a.rs", "//! Head.\n#[cfg(test)]\nmod tests;\n").is_empty());
    assert_eq!(complaints("model/src/a.rs", &format!("//! Head.\n{}", "// x\n".repeat(700))).len(), 1);
    let long = format!("//! Head.\nimpl A {{\n    fn f() {{\n{}    }}\n}}\n", "        call();\n".repeat(120));
    assert_eq!(complaints("model/src/a.rs", &long), ["model/src/a.rs:3: a function of 122 lines; at most 100, better 70"]);
}

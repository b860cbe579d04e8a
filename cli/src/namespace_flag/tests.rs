use super::*;
use clap::Parser;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    flag: NamespaceFlag,
}

impl NamespaceFlag {
    /// As it was typed.
    pub fn of(arguments: &[&str]) -> Self {
        read(arguments).expect("flags that fit each other")
    }
}

fn read(arguments: &[&str]) -> Option<NamespaceFlag> {
    let words = ["organza"].iter().chain(arguments);
    Command::try_parse_from(words).ok().map(|command| command.flag)
}

#[test]
fn one_namespace_is_shown_or_all() {
    for all in [read(&[]), read(&["-A"]), read(&["--all-namespaces"])] {
        assert!(all.unwrap().shows(&["shop"]));
    }
    let shop = read(&["-n", "shop"]).unwrap();
    assert!(shop.shows(&["shop"]) && shop.shows(&["web", "shop"]) && !shop.shows(&["web"]) && !shop.shows(&[]));
    assert!(read(&["-n", "shop", "-A"]).is_none(), "which one is meant?");
}

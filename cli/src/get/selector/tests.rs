use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn selectors_are_kubernetes() {
    let web = labels(&[("app", "web"), ("version", "v1"), ("example.com/tier", "")]);
    for yes in [
        "",
        "app=web",
        "app==web,version=v1",
        "app",
        "!legacy",
        "version!=v2",
        "legacy!=yes",
        "app in (web, api)",
        "app in (web),version notin (v2,v3)",
        "legacy notin (yes)",
        "example.com/tier=",
    ] {
        assert!(Selector::parse(yes).expect(yes).matches(&web), "{yes}");
    }
    for no in ["app=api", "app=web,version=v2", "legacy", "!app", "app!=web", "app notin (web, api)", "app in (api)", "example.com/tier=x"]
    {
        assert!(!Selector::parse(no).expect(no).matches(&web), "{no}");
    }
}

#[test]
fn what_is_no_selector_is_told() {
    for wrong in ["=web", "app of (web)", "app in web)", "app in (web", "in (web)", "a b=c", "!", "app in ((web))"] {
        assert!(Selector::parse(wrong).is_err(), "{wrong}");
    }
}

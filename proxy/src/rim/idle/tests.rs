use super::*;
use model::{Kind, Source};
use std::time::Duration;

fn key(name: &str) -> Key {
    Key::new(Source::files(), Kind::Service, "shop", name)
}

fn used(names: &[&str]) -> Used {
    names.iter().map(|name| (Arc::from("shop"), Arc::from(*name))).collect()
}

#[test]
fn what_is_called_stays_and_what_is_not_goes() {
    let mut idle = Idle::default();
    let answers: BTreeMap<Arc<str>, Option<Key>> =
        [("host/shop/web", Some(key("web"))), ("host/shop/old", Some(key("old"))), ("host/shop/nobody", None)]
            .map(|(name, key)| (name.into(), key))
            .into();
    let mut names: BTreeSet<Arc<str>> = answers.keys().cloned().collect();
    names.extend([wire::SELF.into(), Arc::from("host/shop/new")]);
    let start = Instant::now();
    let mut at = |after: Duration, called: &[&str]| idle.expired(&names, &answers, &used(called), start + after);
    let second = Duration::from_secs(1);
    assert!(at(Duration::ZERO, &[]).is_empty());
    assert!(at(limits::NAME_OF_NOTHING - second, &[]).is_empty());
    assert_eq!(at(limits::NAME_OF_NOTHING, &["web"]), [Arc::from("host/shop/nobody")]);
    let gone = at(limits::NAME_IDLE, &[]);
    assert_eq!(gone, [Arc::from("host/shop/nobody"), "host/shop/old".into()], "neither oneself nor what was called or has no answer yet");
    assert!(at(limits::NAME_IDLE + limits::NAME_OF_NOTHING, &[]).contains(&"host/shop/web".into()));
}

#[test]
fn where_calls_are_counted_together_nothing_is_forgotten() {
    let mut idle = Idle::default();
    let answers: BTreeMap<Arc<str>, Option<Key>> = [(Arc::from("host/shop/web"), Some(key("web")))].into();
    let names = answers.keys().cloned().collect();
    let start = Instant::now();
    assert!(idle.expired(&names, &answers, &used(&["other"]), start).is_empty());
    assert!(idle.expired(&names, &answers, &used(&["other"]), start + limits::NAME_IDLE).is_empty());
    assert_eq!(idle.expired(&names, &answers, &used(&[]), start + 2 * limits::NAME_IDLE).len(), 1);
}

use super::*;
use serde_json::json;

fn kept(name: &str, spec: u32, status: u32) -> Box<Kept> {
    let object = Object::new(ObjectRef::new("g", "K", "n", name), "g/v1", json!({ "spec": spec }));
    Box::new(Kept {
        object,
        status: json!(status).to_string().into(),
        uid: name.into(),
        version: status.to_string(),
        ending: false,
        held: false,
    })
}

fn kind() -> KindName {
    KindName { group: "g".into(), kind: "K".into() }
}

fn listed(names: &[&str]) -> Cache {
    let mut cache = Cache::default();
    cache.serve(&[kind()]);
    cache.hear(&kind(), News::Begin);
    for name in names {
        cache.hear(&kind(), News::Listed(kept(name, 1, 1)));
    }
    assert!(!cache.is_synced());
    assert_eq!(cache.hear(&kind(), News::Whole), Changed::Objects);
    cache
}

fn names(cache: &Cache) -> Vec<String> {
    cache.objects().iter().map(|o| o.object.name.to_string()).collect()
}

#[test]
fn a_new_list_counts_when_it_is_whole() {
    let mut cache = listed(&["a", "b"]);
    cache.hear(&kind(), News::Begin);
    cache.hear(&kind(), News::Listed(kept("b", 1, 1)));
    assert_eq!(names(&cache), ["a", "b"], "what was there stays until the list is whole");
    assert_eq!(cache.hear(&kind(), News::Whole), Changed::Objects);
    assert_eq!(names(&cache), ["b"]);
}

#[test]
fn a_list_that_broke_off_is_forgotten() {
    let mut cache = listed(&["a"]);
    cache.hear(&kind(), News::Begin);
    cache.hear(&kind(), News::Listed(kept("x", 1, 1)));
    cache.hear(&kind(), News::Trouble("gone".into(), crate::shell::monotone()));
    cache.hear(&kind(), News::Begin);
    cache.hear(&kind(), News::Listed(kept("a", 1, 1)));
    assert_eq!(cache.hear(&kind(), News::Whole), Changed::Beside, "the same objects as before make no new world");
    assert_eq!(names(&cache), ["a"]);
}

#[test]
fn a_status_makes_no_new_world() {
    let mut cache = listed(&["a"]);
    assert_eq!(cache.hear(&kind(), News::Is(kept("a", 1, 2))), Changed::Beside);
    assert_eq!(cache.get(&ObjectRef::new("g", "K", "n", "a")).unwrap().version, "2");
    assert_eq!(cache.hear(&kind(), News::Is(kept("a", 2, 2))), Changed::Objects);
    assert_eq!(cache.hear(&kind(), News::Gone(ObjectRef::new("g", "K", "n", "a"))), Changed::Objects);
    assert!(cache.objects().is_empty());
}

#[test]
fn what_is_the_same_is_there_once() {
    let mut cache = listed(&["a", "b"]);
    // As a world holds it.
    let first = cache.objects().remove(0);
    let is_first = |cache: &Cache| std::sync::Arc::ptr_eq(&first.value, &cache.objects()[0].value);
    cache.hear(&kind(), News::Is(kept("a", 1, 2)));
    assert!(is_first(&cache), "its status alone is another");
    cache.hear(&kind(), News::Begin);
    cache.hear(&kind(), News::Listed(kept("a", 1, 3)));
    cache.hear(&kind(), News::Listed(kept("b", 2, 3)));
    assert_eq!(cache.hear(&kind(), News::Whole), Changed::Objects);
    assert!(is_first(&cache), "it was only listed again");
    assert_eq!(cache.objects()[1].at("/spec"), 2);
}

#[test]
fn trouble_is_told_until_something_comes() {
    let mut cache = listed(&["a"]);
    let now = crate::shell::monotone();
    assert_eq!(cache.hear(&kind(), News::Trouble("429".into(), now)), Changed::Beside);
    assert_eq!(cache.hear(&kind(), News::Trouble("429".into(), now)), Changed::Nothing);
    assert_eq!(cache.troubles().count(), 1);
    assert_eq!(names(&cache), ["a"]);
    assert_eq!(cache.hear(&kind(), News::Begin), Changed::Beside);
    assert_eq!(cache.troubles().count(), 0);
    // A watch that goes on says nothing where nothing happens.
    cache.hear(&kind(), News::Trouble("gone".into(), now));
    assert_eq!(cache.forgive(now + limits::TROUBLE), Changed::Nothing);
    assert_eq!(cache.forgive(now + 2 * limits::TROUBLE), Changed::Beside);
    assert_eq!(cache.troubles().count(), 0);
}

#[test]
fn a_kind_that_the_server_has_no_more_holds_nothing() {
    let mut cache = listed(&["a"]);
    assert_eq!(cache.serve(&[]), Changed::Objects);
    assert!(cache.objects().is_empty());
    assert_eq!(cache.hear(&kind(), News::Is(kept("a", 1, 1))), Changed::Nothing);
    assert!(!cache.is_synced(), "nothing is known of a server that has none of our kinds yet");
}

use super::*;
use crate::store::Memory;

fn core() -> (tempfile::TempDir, Arc<Core>) {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    (folder, core)
}

fn join(core: &Core, name: &str) -> (String, u64) {
    let request = RegistrationRequest {
        name: name.into(),
        namespace: "shop".into(),
        service_account: name.into(),
        service: None,
        ports: Vec::new(),
        protocol: None,
        labels: BTreeMap::new(),
        addresses: Vec::new(),
    };
    let entry = core.register(request, None).unwrap();
    let stream = core.connected(&entry.proxy, "0".into(), false);
    (entry.proxy, stream)
}

/// What is kept up word by word is what a look at all sessions finds.
#[test]
fn how_many_have_a_generation_is_kept_up_as_if_all_were_counted() {
    let (_folder, core) = core();
    let proxies: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| join(&core, name)).collect();
    let counted = || {
        let (inner, generation) = (core.lock(), core.world().generation);
        let have = inner.sessions.values().filter(|s| s.connected && s.current >= generation && s.refused.is_empty()).count();
        let there = inner.sessions.values().filter(|s| s.connected).count();
        (inner.applied, Some((have as u32, there as u32)))
    };
    let mut random = 7_u32;
    let mut draw = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % below
    };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let (proxy, stream) = &proxies[draw(4) as usize];
        let generation = core.world().generation;
        let (current, refuses) = (generation - u64::from(draw(2)), draw(4) == 0);
        core.session(proxy, *stream, |session| {
            session.current = current;
            session.refused = refuses.then(|| ("a".to_owned(), "b".to_owned())).into_iter().collect();
        });
        let (kept, counted) = counted();
        assert_eq!(kept, counted);
        seen.extend(kept);
    }
    assert!(seen.len() > 3, "{seen:?}");
    assert!(core.disconnected(&proxies[0].0, proxies[0].1));
    assert_eq!(counted().0, counted().1);
    core.deregister(&proxies[1].0);
    assert_eq!(counted().0, counted().1, "a new generation is nobody's yet");
    core.session(&proxies[2].0, proxies[2].1, |session| session.current = u64::MAX);
    assert_eq!(counted(), (Some((1, 2)), Some((1, 2))));
}

#[test]
fn what_was_counted_is_looked_through_every_so_often_and_not_more_often() {
    let (_folder, core) = core();
    let told =
        wire::v1::report_request::Verdict { verdict: "denied".into(), policy: "AccessPolicy shop/a".into(), rule: "r".into(), count: 1 };
    core.lock().verdicts.report([told], seconds(now()));
    let stored_after = |since: u64| {
        core.lock().counted_at = seconds(now()) - since;
        core.keep_calls(false);
        core.store.list("verdicts/").unwrap().len()
    };
    // Half of it, for time goes on meanwhile.
    assert_eq!((stored_after(limits::CALLS_SAVE / 2), stored_after(limits::CALLS_SAVE)), (0, 1));
}

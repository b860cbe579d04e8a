//! What a later release may send and this one does not know: it is survived, and nobody is let in who would not be.

use super::*;
use model::access::{
    AccessMatch, AccessPolicy, AccessTarget, Action, DefaultAccess, Egress, Enforcement, ExplainDenials, Group, Mtls, Term, Tier,
};
use model::token::KeySource;
use v1::resource::Resource as R;

/// The sample as a later release sends it, and what is noted of it.
fn edited(sample: Resource, edit: impl FnOnce(&mut R)) -> (Resource, String) {
    let mut message = v1::Resource::decode(&*encode(&sample)).unwrap();
    edit(message.resource.as_mut().unwrap());
    let (read, note) = decode_noting(&message.encode_to_vec()).unwrap();
    (read, note.unwrap_or_default())
}

fn access(edit: impl FnOnce(&mut v1::AccessPolicy)) -> (Arc<AccessPolicy>, String) {
    let read = edited(Resource::Access(Arc::new(access::policy())), |resource| match resource {
        R::Access(policy) => edit(policy),
        other => panic!("{other:?}"),
    });
    match read {
        (Resource::Access(policy), note) => (policy, note),
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn words_of_access_that_are_not_known_are_the_strictest() {
    let (read, note) = access(|policy| (policy.action, policy.enforcement, policy.tier) = (77, 78, 79));
    assert_eq!((read.action, read.enforcement, read.tier), (Action::Deny, Enforcement::Enforce, Tier::Admin));
    assert!(note.contains("action holds 77, which this release does not know: read as Deny"), "{note}");
    // An allow of an unknown tier closes what it does not name.
    let (read, _) = access(|policy| (policy.action, policy.tier) = (v1::AccessAction::Allow as i32, 79));
    assert_eq!((read.action, read.tier), (Action::Allow, Tier::Namespace));
    let (read, note) = edited(Resource::AccessSettings(Arc::new(super::access::settings())), |resource| {
        let R::AccessSettings(settings) = resource else { panic!("settings were encoded") };
        (settings.default_access, settings.egress, settings.explain_denials) = (77, 77, 77);
        (settings.mtls, settings.mtls_of[1].mtls) = (77, 77);
    });
    let Resource::AccessSettings(read) = read else { panic!("settings are read") };
    let strictest = (DefaultAccess::Deny, Egress::Registered, ExplainDenials::Never);
    assert_eq!((read.default_access, read.egress, read.explain_denials), strictest);
    assert_eq!((read.mtls, read.mtls_of[1].mtls), (Mtls::Strict, Mtls::Strict));
    assert_eq!(note.matches("which this release does not know").count(), 4, "{note}");
}

#[test]
fn a_target_that_is_not_known_is_all_that_it_may_be() {
    let unknown = |policy: &mut v1::AccessPolicy| policy.targets[0].target = None;
    let (read, note) = access(unknown);
    assert_eq!(read.targets[0], model::access::AccessTarget::Namespace("shop".into()));
    assert!(note.contains("a target of a kind"), "{note}");
    let (read, _) = access(|policy| {
        policy.key = "files/access//accesspolicy.orders".into();
        unknown(policy);
    });
    assert_eq!(read.targets[0], model::access::AccessTarget::Mesh);
}

#[test]
fn what_a_match_compares_with_and_is_not_known_may_hold_or_not() {
    use v1::access_match::{Match as M, Path};
    let unknown = v1::TextMatch { text: None };
    let claim = v1::access_match::Claim { path: vec!["a".into()], value: Some(unknown.clone()) };
    let header = v1::access_match::Header { name: "a".into(), value: None };
    let each = [M::Identity(unknown.clone()), M::Subject(unknown), M::Claim(claim), M::Header(header), M::Path(Path { path: None })];
    for one in each {
        let (read, _) = access(|policy| policy.rules[0].clauses[0].groups[0].terms[0].any[0].r#match = Some(one.clone()));
        assert_eq!(read.rules[0].clauses[0].0[0].0[0].any[0], AccessMatch::Unknown, "{one:?}");
    }
}

/// `bytes` with this field's last piece, found by the numbers that lead to it, holding what no release knows yet.
fn within(bytes: &[u8], path: &[u32]) -> Vec<u8> {
    let Some((number, rest)) = path.split_first() else { return [bytes, LATER].concat() };
    let piece = *super::super::read::pieces(bytes, *number).last().expect("the field is there");
    let at = piece.as_ptr() as usize - bytes.as_ptr() as usize;
    let inner = within(piece, rest);
    let framed = |piece: &[u8]| {
        let mut out = Vec::new();
        prost::encoding::encode_key(*number, prost::encoding::WireType::LengthDelimited, &mut out);
        prost::encoding::encode_varint(piece.len() as u64, &mut out);
        [&out[..], piece].concat()
    };
    let begin = at + piece.len() - framed(piece).len();
    [&bytes[..begin], &framed(&inner), &bytes[at + piece.len()..]].concat()
}

#[test]
fn a_policy_with_fields_that_are_not_known_lets_nobody_in_by_what_they_may_narrow() {
    let sample = access::policy();
    let bytes = encode(&Resource::Access(Arc::new(sample.clone())));
    let read = |bytes: &[u8]| match decode_noting(bytes).unwrap() {
        (Resource::Access(policy), note) => (policy, note.unwrap_or_default()),
        (other, _) => panic!("{other:?}"),
    };
    let perhaps = model::access::Clause(vec![Group(vec![Term::is(vec![AccessMatch::Unknown])])]);
    let narrowed = |policy: &AccessPolicy| policy.rules.iter().map(|rule| rule.clauses.last() == Some(&perhaps)).collect::<Vec<_>>();
    assert_eq!((narrowed(&read(&bytes).0), read(&bytes).1), (vec![false, false], String::new()));
    // In a rule, and deep within it: that rule alone. (The last of the two.)
    let (one, note) = read(&within(&bytes, &[8, 7]));
    assert_eq!((narrowed(&one), note.as_str()), (vec![false, true], "rule none has what this release does not know: it may hold or not"));
    // Beside the rules: all of them. Around the policy: nothing of it.
    assert_eq!(narrowed(&read(&within(&bytes, &[8])).0), [true, true]);
    assert_eq!(narrowed(&read(&within(&bytes, &[])).0), [false, false]);
    // A denial without rules that this release can see denies.
    let bare = AccessPolicy { rules: Vec::new(), action: Action::Deny, ..sample };
    let bytes = encode(&Resource::Access(Arc::new(bare)));
    assert_eq!(read(&within(&bytes, &[8])).0.rules.len(), 1);
}

#[test]
fn tokens_are_not_believed_by_what_is_not_known() {
    let sample = || Resource::TokenIssuer(Arc::new(token::issuer()));
    let issuer = |edit: fn(&mut v1::TokenIssuer)| {
        let (read, note) = edited(sample(), |resource| match resource {
            R::TokenIssuer(issuer) => edit(issuer),
            other => panic!("{other:?}"),
        });
        let Resource::TokenIssuer(issuer) = read else { panic!("an issuer is read") };
        (issuer, note)
    };
    let (read, note) = issuer(|issuer| issuer.algorithms.push(77));
    assert_eq!((read.algorithms.len(), read.keys != KeySource::None), (token::issuer().algorithms.len(), true));
    assert!(note.contains("their tokens are not believed"), "{note}");
    let (read, _) = issuer(|issuer| issuer.algorithms = vec![77]);
    assert_eq!((read.keys.clone(), read.required), (KeySource::None, token::issuer().required));
    let Resource::TokenIssuer(read) = decode(&of_a_later_release(&encode(&sample()))).unwrap() else { panic!("an issuer is read") };
    assert_eq!(read.keys, KeySource::None);
}

#[test]
fn no_key_is_believed_by_what_is_not_known() {
    let sample = || Resource::Consumer(Arc::new(consumer::consumer()));
    let (read, note) = edited(sample(), |resource| match resource {
        R::Consumer(consumer) => consumer.from[0].place = None,
        other => panic!("{other:?}"),
    });
    let Resource::Consumer(read) = read else { panic!("a consumer is read") };
    assert!(read.keys.is_empty() && note.contains("no key is believed"), "{read:?} {note}");
    let Resource::Consumer(read) = decode(&of_a_later_release(&encode(&sample()))).unwrap() else { panic!("a consumer is read") };
    assert!(read.keys.is_empty());
}

#[test]
fn a_limit_is_never_larger_for_what_is_not_known() {
    let (read, note) = edited(Resource::RateLimit(Arc::new(rates::policy())), |resource| match resource {
        R::RateLimit(policy) => policy.limits[0].by = vec![v1::CountBy { by: None }],
        other => panic!("{other:?}"),
    });
    let Resource::RateLimit(read) = read else { panic!("a policy is read") };
    assert!(read.limits[0].by.is_empty() && note.contains("all are counted together"), "{note}");
}

#[test]
fn a_limit_whose_target_is_not_known_stands_for_all_that_it_may_be() {
    let (read, note) = edited(Resource::RateLimit(Arc::new(rates::policy())), |resource| match resource {
        R::RateLimit(policy) => policy.targets = vec![v1::AccessTarget { target: None }],
        other => panic!("{other:?}"),
    });
    let Resource::RateLimit(read) = read else { panic!("a policy is read") };
    assert!(matches!(&read.targets[..], [AccessTarget::Namespace(_)]) && note.contains("target"), "{read:?} {note}");
}

#[test]
fn a_filter_whose_authorizer_cannot_be_read_answers_in_its_place() {
    let (read, _) = edited(Resource::Route(Arc::new(route())), |resource| match resource {
        R::Route(route) => route.rules[0].filters[0].filter = Some(v1::filter::Filter::ExternalAuth(v1::Asking::default())),
        other => panic!("{other:?}"),
    });
    let Resource::Route(read) = read else { panic!("a route is read") };
    assert!(matches!(&read.rules[0].filters[0], Filter::Invalid { message } if message.contains("cannot be read")));
}

#[test]
fn a_filter_that_is_not_known_answers_in_place_of_what_it_may_guard() {
    let (read, _) = edited(Resource::Route(Arc::new(route())), |resource| match resource {
        R::Route(route) => route.rules[0].filters[0].filter = None,
        other => panic!("{other:?}"),
    });
    let Resource::Route(read) = read else { panic!("a route is read") };
    assert!(matches!(&read.rules[0].filters[0], Filter::Invalid { message } if message.contains("does not know")));
}

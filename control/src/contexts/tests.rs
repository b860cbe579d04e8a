use super::*;

fn seen(served: u64, passed_on: u64, dropped: u64) -> Context {
    Context { served, passed_on, dropped }
}

#[test]
fn who_is_called_and_calls_without_a_trace_is_named_until_a_minute_after_it_stopped() {
    let mut contexts = Contexts::default();
    contexts.report("web-1", &seen(5, 0, 6), 100);
    assert_eq!(contexts.dropped("web-1", 100), None, "too few to say");
    contexts.report("web-1", &seen(5, 1, 6), 101);
    assert_eq!(contexts.dropped("web-1", 101), Some((12, 13)));
    assert_eq!(contexts.dropped("web-1", 101 + limits::CONTEXT_SECONDS + 1), None);
    contexts.report("web-1", &seen(9, 9, 0), 101 + limits::CONTEXT_SECONDS + 1);
    assert_eq!(contexts.0["web-1"].len(), 1, "what is over is forgotten");
    contexts.forget("web-1");
    assert!(contexts.0.is_empty());
}

#[test]
fn clients_and_programs_that_pass_traces_on_are_not_named() {
    let mut contexts = Contexts::default();
    contexts.report("client", &seen(0, 0, 1000), 100);
    contexts.report("good", &seen(100, 101, 100), 100);
    assert_eq!((contexts.dropped("client", 100), contexts.dropped("good", 100)), (None, None));
    assert_eq!(contexts.dropped("nobody", 100), None);
}

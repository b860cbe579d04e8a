use super::*;
use proptest::prelude::*;

#[test]
fn reads_and_writes_the_standards_example_and_refuses_others() {
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = TraceContext::parse(text.as_bytes()).unwrap();
    assert!(context.sampled);
    assert_eq!(context.to_string(), text);
    assert_eq!(context.child(7).trace_id, context.trace_id);
    for bad in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    ] {
        assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
    }
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
    assert!(TraceContext::parse(later.as_bytes()).is_some());
}

proptest! {
    #[test]
    fn strangers_bytes_never_panic(bytes: Vec<u8>) {
        let _ = TraceContext::parse(&bytes);
    }
}

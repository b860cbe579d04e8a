use super::*;
use crate::tests::quiet::{Network, on, took};

#[test]
fn a_name_is_waited_for_so_long_and_so_many_may_wait() {
    on(Network::Nowhere, async {
        // Somebody to ask who never answers.
        let (resolver, _questions) = Resolver::new(Shared::default());
        let (found, time) = took(resolver.resolve("stranger", "shop")).await;
        assert_eq!((found, time), (Err(Fault::NotYetKnown), limits::RESOLVE));
        // One waits in the queue from before.
        for _ in 1..limits::QUESTIONS {
            let resolver = resolver.clone();
            transport::rt::spawn(async move { drop(resolver.resolve("stranger", "shop").await) });
        }
        transport::rt::sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(took(resolver.resolve("one too many", "shop")).await, (Err(Fault::Overloaded), std::time::Duration::ZERO));
    });
}

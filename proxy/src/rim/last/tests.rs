use super::*;
use crate::tests::quiet::{Network, on, took};

#[test]
fn the_last_report_is_waited_for_so_long_and_only_where_somebody_reports() {
    on(Network::Nowhere, async {
        let word = LastWord::new();
        assert!(took(word.say()).await.1.is_zero(), "nobody is there to take it");
        let reporter = word.listen();
        assert_eq!(took(word.say()).await.1, limits::LAST_WORD);
        assert!(*reporter.borrow());
        word.is_told();
        assert!(took(word.say()).await.1.is_zero());
    });
}

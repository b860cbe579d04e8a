use super::*;
use model::Fault;

#[tokio::test]
async fn who_is_believed_no_more_before_it_begins_does_nothing() {
    let (again, begun) = (Again::default(), Cell::new(false));
    let judge = || Err(Stop::new(Fault::Unauthenticated, "the root is gone"));
    let stop = while_believed(&again, judge, async { begun.set(true) }).await.unwrap_err();
    assert_eq!((stop.fault, begun.get()), (Fault::Unauthenticated, false));
}

use super::super::tests::served;
use super::*;
use crate::tests::Mesh;
use futures_util::future::{join_all, poll_immediate};

#[test]
fn clerks_are_used_again_and_so_many_are_kept() {
    rt::run(async {
        let web = Mesh::new().proxy("web");
        let free = || FREE.with_borrow(Vec::len);
        for (at_once, left, kept) in [(3, 0, 3), (2, 1, 3), (limits::SPARE_CLERKS + 1, 0, limits::SPARE_CLERKS)] {
            // Callers that say nothing for now, and then go.
            let (callers, carried): (Vec<_>, Vec<_>) = std::iter::repeat_with(|| served(&web)).take(at_once).unzip();
            let mut carried: Vec<_> = carried.into_iter().map(|served| Box::pin(carry(Box::new(served)))).collect();
            for one in &mut carried {
                assert!(poll_immediate(one).await.is_none());
            }
            assert_eq!(free(), left);
            drop(callers);
            join_all(carried).await;
            assert_eq!(free(), kept);
        }
    })
    .unwrap();
}

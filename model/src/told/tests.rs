use super::*;
use crate::{Kind, Source};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

fn key() -> Key {
    Key::new(Source::files(), Kind::Route, "shop", "r")
}

fn length(bytes: &[u8]) -> Option<Arc<usize>> {
    (!bytes.is_empty()).then(|| Arc::new(bytes.len()))
}

#[test]
fn bytes_are_read_when_somebody_asks_and_let_go_then() {
    let told = Told::asleep(key(), b"four"[..].into(), length);
    assert_eq!((told.read().as_deref(), told.is_awake()), (Some(&4), false), "who looks at all there is wakes nobody");
    assert_eq!((told.get().map(|value| **value), told.is_awake()), (Some(4), true));
    assert!(told.bytes.lock().unwrap().is_empty());
    assert_eq!(told.read().as_deref(), Some(&4));
    assert!(Arc::ptr_eq(told.get().unwrap(), told.get().unwrap()));
    assert_eq!(Told::awake(key(), Arc::new(7)).get().map(|value| **value), Some(7));
}

#[test]
fn what_cannot_be_read_any_more_is_nothing() {
    let told = Told::asleep(key(), b""[..].into(), length);
    assert_eq!((told.get(), told.read(), told.is_awake()), (None, None, false));
}

#[test]
fn all_who_ask_at_once_get_the_same() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    const ASK: usize = 4;
    for _ in 0..200 {
        let told = Told::asleep(key(), b"four"[..].into(), |bytes| {
            READ.fetch_add(1, Ordering::Relaxed);
            length(bytes)
        });
        let all = Barrier::new(ASK);
        let ask = || {
            all.wait();
            told.get().cloned().expect("is there")
        };
        let got: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..ASK).map(|_| scope.spawn(ask)).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(got.iter().all(|one| Arc::ptr_eq(one, &got[0])));
    }
    assert!(READ.load(Ordering::Relaxed) >= 200);
}

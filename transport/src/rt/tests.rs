use super::*;

#[test]
fn a_reading_of_the_clock_is_given_out_a_few_times_and_never_after_a_wait() {
    run(async {
        let first = now();
        let given: Vec<Instant> = (0..READINGS).map(|_| now()).collect();
        assert!(given.iter().all(|at| *at == first));
        assert!(now() > first, "it is read anew");
        let before = now();
        sleep(Duration::from_millis(2)).await;
        assert!(now() >= before + Duration::from_millis(2), "what was read before a wait is worth nothing after it");
    })
    .unwrap();
    let outside = now();
    assert!(now() > outside, "a thread that is nobody's worker reads the clock");
}

#[test]
fn who_goes_behind_goes_on_when_all_that_was_ready_had_its_turn_and_at_once_where_nobody_else_was() {
    use std::cell::RefCell;
    use std::rc::Rc;
    let said = Rc::new(RefCell::new(Vec::new()));
    run(async {
        for names in ["abc", "def", "g", "hi", ""] {
            for name in names.chars() {
                let said = said.clone();
                spawn(async move {
                    said.borrow_mut().push(name.to_ascii_uppercase());
                    behind().await;
                    said.borrow_mut().push(name);
                });
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
    .unwrap();
    // Nobody was before `a`; before `g` were three; and before `h` was one.
    assert_eq!(said.borrow().iter().collect::<String>(), "AaBCbcDEFdefGgHhIi");
}

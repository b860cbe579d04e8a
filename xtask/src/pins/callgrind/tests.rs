use super::{Profile, parse};

#[test]
fn costs_are_counted_where_they_are_spent_and_calls_of_the_allocator_by_name() {
    let text = "\
events: Ir
fn=(1) proxy::one
12 100
+3 5
cfn=(2) __rustc::__rust_alloc
calls=7 0
* 900
fn=(2)
1 70
cfn=(3) mi_malloc
calls=7 0
1 60
fn=(4) aws_lc_0_47_0_aes_hw_encrypt
1 10000
fn=(1)
14 1
cfn=(2)
calls=2 0
15 30
totals: 11000
";
    assert_eq!(parse(text).expect("a profile"), Profile { instructions: 176, allocations: 9 });
}

use super::{Profile, parse, read};

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
    assert_eq!(parse(text).expect("a profile"), Profile { instructions: 176, allocations: 9, route: 0 });
}

#[test]
fn finding_the_route_costs_what_is_called_for_it_too() {
    let text = "\
fn=(1) proxy::http::plan::decide
12 100
cfn=(2) routing::lookup::<impl routing::table::Table>::listener_route
calls=1 0
* 900
fn=(2)
1 70
cfn=(3) routing::lookup::<impl routing::table::Table>::at_listener
calls=1 0
1 830
fn=(3)
1 830
";
    assert_eq!(parse(text).expect("a profile"), Profile { instructions: 1000, allocations: 0, route: 900 });
}

#[test]
fn of_each_proxy_the_busiest_thread_counts() {
    let folder = std::env::temp_dir().join(format!("organza-callgrind-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, cost) in [("0.1-01", 5), ("0.1-03", 100), ("1.1-01", 30), ("1.1-02", 7)] {
        std::fs::write(folder.join(format!("callgrind.{name}")), format!("fn=(1) one\n1 {cost}\n")).expect("a file");
    }
    // What came after the last dump.
    std::fs::write(folder.join("callgrind.0"), "fn=(1) one\n1 9999\n").expect("a file");
    let read = read(&folder);
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    assert_eq!(read.expect("a profile").instructions, 130);
}

use super::*;

/// As `perf script -F ip,sym,dso` has it.
const TOLD: &str = "\
\tffffffff81a2 tcp_ack ([kernel.kallsyms])
\tffffffff81a1 __x64_sys_sendto ([kernel.kallsyms])
\t    7f0001a0 __send+0x4e (/usr/lib/libc.so.6)

\tffffffff81b2 schedule ([kernel.kallsyms])
\tffffffff81b1 do_epoll_wait ([kernel.kallsyms])
\tffffffff81b0 __x64_sys_epoll_wait ([kernel.kallsyms])

\tffffffff81c0 asm_sysvec_apic_timer_interrupt ([kernel.kallsyms])

\t    55d9d1a0 proxy::http::forward::Routed::run::{{closure}}+0x20 (/srv/my mesh/organza)

\t    55d9d1b0 <routing::hosts::HostTrie as core::ops::Drop>::drop (/srv/my mesh/organza)

\t    55d9d1c0 [unknown] (/srv/my mesh/organza)

";

#[test]
fn each_sample_falls_into_one_phase() {
    let counts = counted(TOLD);
    let expected =
        [("carry the request", 1), ("kernel: other", 1), ("kernel: send", 1), ("kernel: wait", 1), ("other", 1), ("route and balance", 1)];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    assert!(counted("").is_empty() && counted("perf: nothing\n").is_empty());
}

#[test]
fn phases_stand_side_by_side_the_dearest_first() {
    let round = |cpu_us| Round { cpu_us, ..Round::default() };
    let ours = Phases::from([("kernel: send", 6.0), ("read the head", 8.0)]);
    let all = [("organza".to_owned(), round(14.0), ours), ("haproxy".to_owned(), round(7.5), Phases::from([("other", 7.5)]))];
    let table = table("h1-64", &all);
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["read", "the", "head", "8.00", "0.00"]);
    assert_eq!(rows[1], ["kernel:", "send", "6.00", "0.00"]);
    assert_eq!(rows[3], ["all", "14.00", "7.50"]);
}

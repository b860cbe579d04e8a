use super::*;

fn tell(workloads: &mut Workloads, proxy: &str, numbers: impl IntoIterator<Item = u64>, now: u64) {
    let counts = EdgeTotals { opened: 2, requests: 3, failures: 1, ..EdgeTotals::default() };
    let mut own = workloads.begin(proxy);
    for number in numbers {
        workloads.add(&mut own, number, &Packed::of(&counts), now);
    }
    workloads.end(proxy, own, now);
}

#[test]
fn each_is_counted_by_itself_in_whatever_order_edges_come() {
    let mut workloads = Workloads::default();
    tell(&mut workloads, "web-1", [7, 3, 7, 5], 1000);
    tell(&mut workloads, "web-2", [3], 1000);
    let of = |proxy: &str| {
        workloads.of(proxy, 1000).map(|own| (own.number(), own.totals().requests, own.recent(1000).0.failures)).collect::<Vec<_>>()
    };
    assert_eq!(of("web-1"), [(3, 3, 1), (5, 3, 1), (7, 6, 2)]);
    assert_eq!(of("web-2"), [(3, 3, 1)]);
    assert_eq!((workloads.held, workloads.left_out()), (4, 0));
}

#[test]
fn neither_one_process_nor_all_of_them_take_more_room_than_there_is_and_who_is_silent_makes_room() {
    let mut workloads = Workloads::default();
    tell(&mut workloads, "greedy", 0..limits::WORKLOAD_EDGES_OF_ONE as u64 + 3, 1000);
    assert_eq!((workloads.held, workloads.left_out()), (limits::WORKLOAD_EDGES_OF_ONE, 3));
    let others = (limits::WORKLOAD_EDGES / limits::WORKLOAD_EDGES_OF_ONE) as u64;
    (1..others).for_each(|n| tell(&mut workloads, &format!("web-{n}"), 0..limits::WORKLOAD_EDGES_OF_ONE as u64, 1000 + n));
    assert_eq!((workloads.held, workloads.left_out()), (limits::WORKLOAD_EDGES, 3));
    tell(&mut workloads, "late", [1, 2], 1100);
    // Who is known goes on.
    tell(&mut workloads, "web-9", [1], 1100);
    assert_eq!((workloads.of("late", 1100).count(), workloads.left_out()), (0, 5));
    assert_eq!(workloads.by_proxy["web-9"][1].totals.requests, 6);
    // Two minutes after all others fell silent one edge is left.
    tell(&mut workloads, "web-9", [], 1000 + others + KEPT);
    assert_eq!((workloads.held, workloads.by_proxy.len()), (1, 1));
    tell(&mut workloads, "late", [1], 1000 + others + KEPT);
    assert_eq!(workloads.of("late", 1000 + others + KEPT).count(), 1);
}

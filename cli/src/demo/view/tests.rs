use super::*;

fn row(service: &str, failures: u64) -> Row {
    let p50 = Some(Duration::from_millis(3));
    Row {
        service: service.into(),
        version: "v1".into(),
        rate: 50.0,
        requests: 100,
        failures,
        retries: 0,
        p50,
        p99: p50,
        security: "mTLS".into(),
    }
}

#[test]
fn a_hundred_percent_means_all_of_them() {
    assert_eq!(success(0, 0), "–");
    assert_eq!(success(1_000_000, 0), "100 %");
    assert_eq!(success(1_000_000, 1), "99.99 %");
    assert_eq!(success(2, 1), "50.00 %");
}

#[test]
fn eighty_columns_hold_everything() {
    let rows = [row("catalog", 0), row("a-service-with-a-rather-long-name-that-needs-room", 3)];
    let load = Tally { requests: 1200, succeeded: 1200, ..Tally::default() };
    let moment = Moment {
        mesh: "demo",
        address: "http://127.0.0.1:8080/",
        elapsed: Duration::from_secs(24),
        rows: &rows,
        load: &load,
        proxies: (6, 6),
        generation: 12,
    };
    let screen = screen(&moment, 80);
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("catalog") && screen.contains("50.0") && screen.contains("97.00 %"), "{screen}");
    assert!(line(&moment).chars().count() <= 80);
    assert_eq!(line(&moment), "  24 s  50 req/s  100 % ok  p50 –  p99 –  mTLS 2/2");
    assert_eq!(object(&moment)["proxies"]["applied"], 6);
}

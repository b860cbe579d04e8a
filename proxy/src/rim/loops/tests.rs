use super::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::{Request, Response, Status};
use wire::grpc::Telemetry;

#[test]
fn a_report_says_over_how_many_seconds_it_came_together_however_often_it_is_told() {
    let begun = Instant::now();
    let at = |millis| begun + Duration::from_millis(millis);
    let mut period = Period::begin(begun);
    // Nothing happened, and then something in the second before it was looked at.
    assert_eq!(period.looked(None, at(9_000)), 1);
    assert_eq!(period.looked(Some(1), at(10_100)), 1);
    assert_eq!(period.looked(Some(2), at(11_200)), 1);
    // Nobody takes it for eight seconds: it stays what it was, and the next tells of the rest.
    assert_eq!([12_000, 15_000, 19_000].map(|millis| period.looked(Some(2), at(millis))), [1, 1, 1]);
    assert_eq!(period.looked(Some(3), at(20_000)), 9);
    assert_eq!(period.looked(Some(4), at(21_000)), 1);
}

/// A control plane that takes two reports, and no third.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Vec<v1::ReportRequest>>>);

#[tonic::async_trait]
impl Telemetry for Fake {
    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        self.report_numbered(request).await
    }

    async fn report_numbered(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        let mut heard = self.0.lock().unwrap();
        heard.push(request.into_inner());
        if heard.len() > 2 { Err(Status::unavailable("")) } else { Ok(Response::new(v1::ReportReply::default())) }
    }
}

#[tokio::test]
async fn so_many_single_requests_are_told_at_a_time_and_what_is_not_taken_is_given_back() {
    let fake = Fake::default();
    let mut client = crate::rim::tests::telemetry(fake.clone()).await;
    let flow = |number: usize| v1::Flow { line: number.to_string(), taps: vec![7] };
    let breaker = v1::report_request::OpenBreaker { service: "orders".into(), ..Default::default() };
    let (breakers, verdicts) = (vec![breaker], vec![v1::report_request::Verdict::default()]);
    let report =
        v1::ReportRequest { proxy: "web".into(), incarnation: 5, sequence: 3, breakers, verdicts, flows_dropped: 9, ..Default::default() };
    let all = 3 * limits::FLOWS_PART;
    let untold = tell_later((0..all).map(flow).collect(), report, &mut Names::default(), &mut client).await;
    let heard = fake.0.lock().unwrap();
    assert_eq!(heard.iter().map(|report| report.flows.len()).collect::<Vec<_>>(), [limits::FLOWS_PART; 3]);
    for report in &*heard {
        assert_eq!((&*report.proxy, report.incarnation, report.breakers.len()), ("web", 5, 1), "what holds is said again");
        assert_eq!((report.sequence, report.verdicts.len(), report.flows_dropped), (0, 0, 0), "what was counted is not");
    }
    let lines: std::collections::BTreeSet<_> = untold.iter().map(|flow| flow.line.clone()).collect();
    assert_eq!(lines, (2 * limits::FLOWS_PART..all).map(|number| number.to_string()).collect());
    // Of the next report these are missing, and what the first one said was missing is not told again.
    let first = Missing { flows: 9, taps: vec![(7, 4), (8, 2)] };
    assert_eq!(first.only(&untold), Missing { flows: limits::FLOWS_PART as u64, taps: vec![(7, limits::FLOWS_PART as u64), (8, 0)] });
}

//! Edges by number belong to a connection; what the control plane of before knew of them is nobody's after it.

use super::{credentials, register, secured, start};
use tonic::{Code, Status};
use wire::v1;

#[tokio::test]
async fn numbers_end_with_their_connection_and_no_report_is_lost_or_counted_twice_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path()).await;
    let web = register(&control.core, "web", None, 0);
    let held = credentials(&control.core, &web);
    let connect = || async { wire::grpc::TelemetryClient::new(secured(control.xds_address, &held).await) };
    let by_number = v1::Edge { requests: 5, number: 3, ..v1::Edge::default() };
    let words = ["source", "http", "mutual_tls"].map(String::from);
    let [reporter, protocol, security] = words;
    let named = v1::Edge { reporter, protocol, security, service: "db".into(), ..by_number.clone() };
    let report = |sequence, edge: &v1::Edge| {
        let edges = vec![wire::edge::encode(edge)];
        v1::ReportRequest { proxy: web.clone(), incarnation: 7, sequence, edges, ..Default::default() }
    };
    let refused = |answer: Result<tonic::Response<v1::ReportReply>, Status>| answer.map(drop).map_err(|status| status.code());
    let (mut first, mut second) = (connect().await, connect().await);
    assert_eq!(refused(first.report_numbered(report(1, &by_number)).await), Err(Code::FailedPrecondition));
    assert_eq!(refused(first.report_numbered(report(1, &named)).await), Ok(()));
    assert_eq!(refused(first.report_numbered(report(2, &by_number)).await), Ok(()));
    // The answer is lost with its connection, and the report told again.
    assert_eq!(refused(second.report_numbered(report(2, &by_number)).await), Err(Code::FailedPrecondition));
    assert_eq!(refused(second.report_numbered(report(2, &named)).await), Ok(()));
    assert_eq!(refused(second.report_numbered(report(3, &by_number)).await), Ok(()));
    // As proxies of before numbers tell it.
    assert_eq!(refused(second.report(report(4, &v1::Edge { number: 0, ..named.clone() })).await), Ok(()));
    let inner = control.core.lock();
    let told: Vec<_> = inner.graph.edges(0, 10).map(|told| (told.id.service.to_string(), told.totals.requests)).collect();
    assert_eq!((told, inner.graph.unnamed()), (vec![("db".to_owned(), 20)], 2));
}

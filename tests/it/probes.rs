//! The probes against servers that behave, and against servers that do not: each must end within
//! its deadline, with bounded memory and the right reason.

mod hostile;
mod plain;
mod pods;
pub mod servers;

use std::time::Duration;

use falconer::effects::Probe;
use falconer::effects::grpc::GrpcEndpoint;
use falconer::effects::probe::{
    Connection, GrpcProbe, GrpcProbeSettings, HttpProbe, HttpProbeSettings, TcpProbe,
    TcpProbeSettings,
};
use falconer::model::{Outcome, ProbeObservation, ReasonKind};
use tonic_health::ServingStatus;

use servers::{answer, certificate, free_port, https_server, server};

/// Long enough for a loaded machine, where the answer is expected to come at once.
const AMPLE: Duration = Duration::from_secs(20);

/// Far beyond any budget that a test gives a probe: reached only by a probe that hangs.
const HANGS: Duration = Duration::from_secs(30);

/// Probes once; panics where the probe does not end although its budget is over.
async fn probe(probe: &dyn Probe, budget: Duration) -> ProbeObservation {
    tokio::time::timeout(HANGS, probe.probe(budget)).await.expect("the probe outlived its budget")
}

#[track_caller]
fn assert_failed(observation: &ProbeObservation, kind: ReasonKind, text: &str) {
    let reason = observation.outcome.reason().expect("a reason");
    assert!(observation.outcome.is_failed(), "{reason}");
    assert_eq!(reason.kind, kind, "{reason}");
    assert!(reason.text.contains(text), "{reason}");
}

fn http(url: String) -> HttpProbe {
    HttpProbe::new(HttpProbeSettings::new(url))
}

#[tokio::test]
async fn an_answer_is_judged_by_its_status_and_its_body() {
    let server = server(|socket| answer(socket, "200 OK", "all is well")).await;
    let mut settings = HttpProbeSettings::new(server.url("/health"));
    let observation = probe(&HttpProbe::new(settings.clone()), AMPLE).await;
    assert_eq!(observation.outcome, Outcome::Healthy);
    assert_eq!(observation.targets.len(), 1);

    settings.body_contains = Some("is well".into());
    assert_eq!(probe(&HttpProbe::new(settings.clone()), AMPLE).await.outcome, Outcome::Healthy);

    settings.body_contains = Some("serving".into());
    let observation = probe(&HttpProbe::new(settings.clone()), AMPLE).await;
    assert_failed(&observation, ReasonKind::BadAnswer, "does not contain \"serving\"");

    settings.expected_status = 204;
    let observation = probe(&HttpProbe::new(settings), AMPLE).await;
    assert_failed(&observation, ReasonKind::Status, "status 200: all is well");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let port = free_port().await;
    let observation = probe(&http(format!("http://127.0.0.1:{port}/")), AMPLE).await;
    assert_failed(&observation, ReasonKind::Refused, "connection refused");
    let address = format!("127.0.0.1:{port}");
    let observation = probe(&TcpProbe::new(TcpProbeSettings { address }), AMPLE).await;
    assert_failed(&observation, ReasonKind::Refused, "connection refused");
    let observation = probe(&grpc(format!("http://127.0.0.1:{port}")), AMPLE).await;
    assert_failed(&observation, ReasonKind::Refused, "connection refused");
}

#[tokio::test]
async fn an_open_port_is_healthy_to_the_tcp_probe() {
    let server = server(servers::silence).await;
    let settings = TcpProbeSettings { address: server.address.to_string() };
    assert_eq!(probe(&TcpProbe::new(settings), AMPLE).await.outcome, Outcome::Healthy);
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_a_fresh_one_is_not() {
    let server = server(servers::keep_alive).await;
    for (connection, expected) in [(Connection::Reuse, 1), (Connection::Fresh, 3)] {
        let before = server.connections();
        let settings = HttpProbeSettings { connection, ..HttpProbeSettings::new(server.url("/")) };
        let http = HttpProbe::new(settings);
        for _ in 0..3 {
            assert_eq!(probe(&http, AMPLE).await.outcome, Outcome::Healthy);
        }
        assert_eq!(server.connections() - before, expected, "{connection:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_trusted_only_through_its_own_ca() {
    let certificate = certificate();
    let port = https_server(&certificate);
    let mut settings = HttpProbeSettings::new(format!("https://localhost:{port}/"));
    settings.ca_file = Some(certificate.file.path().into());
    let observation = probe(&HttpProbe::new(settings.clone()), AMPLE).await;
    assert_eq!(observation.outcome, Outcome::Healthy);
    let stranger = servers::certificate();
    settings.ca_file = Some(stranger.file.path().into());
    let observation = probe(&HttpProbe::new(settings.clone()), AMPLE).await;
    assert_failed(&observation, ReasonKind::Connection, "TLS: ");
    settings.ca_file = Some("/nonexistent/ca.pem".into());
    let observation = probe(&HttpProbe::new(settings), AMPLE).await;
    assert_failed(&observation, ReasonKind::Connection, "/nonexistent/ca.pem");
}

fn grpc(url: String) -> GrpcProbe {
    let endpoint = GrpcEndpoint { url, ..GrpcEndpoint::default() };
    GrpcProbe::new(GrpcProbeSettings { endpoint, service: String::new() })
}

#[tokio::test]
async fn the_standard_health_service_is_believed() {
    let (reporter, service) = tonic_health::server::health_reporter();
    let router = tonic::transport::Server::builder().add_service(service);
    let url = servers::grpc_server(router).await;
    assert_eq!(probe(&grpc(url.clone()), AMPLE).await.outcome, Outcome::Healthy);
    reporter.set_service_status("", ServingStatus::NotServing).await;
    let observation = probe(&grpc(url.clone()), AMPLE).await;
    assert_failed(&observation, ReasonKind::ReportedUnhealthy, "NOT_SERVING");
    let endpoint = GrpcEndpoint { url, ..GrpcEndpoint::default() };
    let unknown = GrpcProbe::new(GrpcProbeSettings { endpoint, service: "unknown".into() });
    assert_failed(&probe(&unknown, AMPLE).await, ReasonKind::Status, "NOT_FOUND");
}

#[tokio::test]
async fn a_server_without_the_standard_health_service_says_so() {
    let url = servers::grpc_server_without_services().await;
    let observation = probe(&grpc(url), AMPLE).await;
    assert_failed(&observation, ReasonKind::Unsupported, "grpc.health.v1");
}

#[tokio::test]
async fn plain_text_and_tls_mixed_up_is_said_in_words() {
    let plain = server(|mut socket| async move {
        servers::write_answer(&mut socket, "400 Bad Request", "").await;
        servers::silence(socket).await;
    })
    .await;
    let observation = probe(&grpc(plain.url("").replace("http:", "https:")), AMPLE).await;
    assert_failed(&observation, ReasonKind::Connection, "plain text");
    let certificate = certificate();
    let port = https_server(&certificate);
    let observation = probe(&grpc(format!("http://127.0.0.1:{port}")), AMPLE).await;
    let reason = observation.outcome.reason().expect("a reason");
    assert!(reason.text.contains("expect TLS?"), "{reason}");
}

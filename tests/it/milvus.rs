//! The Milvus probe against a gRPC server that plays each state of Milvus, over real sockets.

mod query_nodes;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::Probe;
use falconer::effects::milvus::credentials::Credentials;
use falconer::effects::probe::{Connection, MilvusProbe, MilvusProbeSettings};
use falconer::effects::secret::SecretFile;
use falconer::model::{MilvusReport, Outcome, ProbeObservation, ReasonKind};
use tokio::net::TcpListener;

use crate::probes::servers::{certificate, grpc_server_without_services};
use server::{Play, Scene, start, start_with_tls};

/// Long enough for a loaded machine, where the answer is expected to come at once.
const AMPLE: Duration = Duration::from_secs(20);

/// Short, where a call that hangs is part of the scene; long enough for the others.
const SHORT: Duration = Duration::from_secs(1);

/// Far beyond any budget: reached only by a probe that hangs.
const HANGS: Duration = Duration::from_secs(30);

fn settings(url: impl Into<String>) -> MilvusProbeSettings {
    MilvusProbeSettings::new(url, Clock::system())
}

fn with_canary(url: &str, collections: &[&str]) -> MilvusProbeSettings {
    let canary_collections = collections.iter().map(ToString::to_string).collect();
    MilvusProbeSettings { canary_collections, ..settings(url) }
}

async fn probe(settings: MilvusProbeSettings, budget: Duration) -> ProbeObservation {
    probe_with(&MilvusProbe::new(settings), budget).await
}

async fn probe_with(probe: &MilvusProbe, budget: Duration) -> ProbeObservation {
    tokio::time::timeout(HANGS, probe.probe(budget)).await.expect("the probe outlived its budget")
}

#[track_caller]
fn assert_reason(observation: &ProbeObservation, outcome: &str, kind: ReasonKind, text: &str) {
    let reason = observation.outcome.reason().expect("a reason");
    assert_eq!((observation.outcome.as_str(), reason.kind), (outcome, kind), "{reason}");
    assert!(reason.text.contains(text), "{reason}");
}

fn report(observation: ProbeObservation) -> MilvusReport {
    *observation.milvus.expect("a report")
}

#[tokio::test]
async fn a_healthy_server_is_described() {
    let server = start(Play { rows: 42, ..Play::default() }).await;
    let observation = probe(with_canary(&server.url, &["books"]), AMPLE).await;
    assert_eq!(observation.outcome, Outcome::Healthy);
    let report = report(observation);
    assert_eq!(report.version.as_deref(), Some("v2.3.5"));
    assert_eq!(report.is_healthy, Some(true));
    assert_eq!(report.collections, ["books", "films"]);
    assert_eq!((report.canaries[0].rows, &report.canaries[0].error), (Some(42), &None));
    let query = server.last_query();
    assert_eq!(query.output_fields, ["count(*)"]);
    assert_eq!((query.expr.as_str(), query.guarantee_timestamp), ("", 1));
}

#[tokio::test]
async fn no_canary_means_no_query_and_a_star_means_every_loaded_collection() {
    let server = start(Play::default()).await;
    assert_eq!(probe(settings(&server.url), AMPLE).await.outcome, Outcome::Healthy);
    assert_eq!(server.queries(), 0);
    let observation = probe(with_canary(&server.url, &["*"]), AMPLE).await;
    let names: Vec<_> =
        report(observation).canaries.into_iter().map(|canary| canary.collection).collect();
    assert_eq!(names, ["films"], "only films is loaded");
}

#[tokio::test]
async fn a_health_check_that_hangs_costs_the_other_calls_nothing() {
    let server = start(Play { health: Scene::Hangs, ..Play::default() }).await;
    let observation = probe(with_canary(&server.url, &["books"]), SHORT).await;
    let text = "CheckHealth did not answer within 1s; queries work";
    assert_reason(&observation, "degraded", ReasonKind::Limited, text);
    let report = report(observation);
    assert_eq!(report.is_healthy, None);
    assert_eq!(report.canaries[0].rows, Some(1));
}

#[tokio::test]
async fn a_server_that_answers_no_call_is_a_timeout() {
    let play = Play {
        health: Scene::Hangs,
        listing: Scene::Hangs,
        query: Scene::Hangs,
        version: Scene::Hangs,
        ..Play::default()
    };
    let server = start(play).await;
    let observation = probe(with_canary(&server.url, &["books"]), SHORT).await;
    let text = "ShowCollections: no answer within 1s";
    assert_reason(&observation, "failed", ReasonKind::Timeout, text);
}

#[tokio::test]
async fn a_listing_that_fails_inside_an_ok_answer_is_a_failure() {
    let server = start(Play { listing: Scene::Says(1, 65535), ..Play::default() }).await;
    let observation = probe(settings(&server.url), AMPLE).await;
    let text = "ShowCollections: code 65535: as scripted";
    assert_reason(&observation, "failed", ReasonKind::Status, text);
}

#[tokio::test]
async fn a_query_that_hangs_fails_or_counts_nothing_is_a_failed_canary() {
    for (scene, budget, text) in [
        (Scene::Hangs, SHORT, "query of books: no answer within 1s"),
        (Scene::Says(1, 503), AMPLE, "query of books: code 503: as scripted"),
        (Scene::Empty, AMPLE, "query of books: the query succeeded without a count"),
    ] {
        let server = start(Play { query: scene, ..Play::default() }).await;
        let observation = probe(with_canary(&server.url, &["books"]), budget).await;
        assert_reason(&observation, "failed", ReasonKind::CanaryFailed, text);
        let canary = &report(observation).canaries[0];
        assert!(canary.rows.is_none() && canary.error.is_some());
    }
}

#[tokio::test]
async fn a_collection_that_is_gone_or_still_loading_is_no_reason_to_restart() {
    for code in [100, 101] {
        let server = start(Play { query: Scene::Says(1, code), ..Play::default() }).await;
        let observation = probe(with_canary(&server.url, &["books"]), AMPLE).await;
        let text = format!("query of books: code {code}: as scripted");
        assert_reason(&observation, "degraded", ReasonKind::CanaryFailed, &text);
    }
}

#[tokio::test]
async fn an_unhealthy_server_and_a_quota_are_told_with_their_reasons() {
    let server = start(Play { health: Scene::Empty, ..Play::default() }).await;
    let observation = probe(settings(&server.url), AMPLE).await;
    let text = "CheckHealth: not healthy: check health fail for rootcoord";
    assert_reason(&observation, "failed", ReasonKind::ReportedUnhealthy, text);
    let report = report(observation);
    assert_eq!(report.reasons.len(), 16, "of a thousand");

    let server = start(Play { quota_states: vec![5, 99], ..Play::default() }).await;
    let observation = probe(settings(&server.url), AMPLE).await;
    let text = "quota: DenyToWrite, QuotaState(99)";
    assert_reason(&observation, "degraded", ReasonKind::Limited, text);
}

#[tokio::test]
async fn calls_that_a_small_server_does_not_know_are_no_failure() {
    let play = Play { health: Scene::Unknown, version: Scene::Unknown, ..Play::default() };
    let server = start(play).await;
    let observation = probe(with_canary(&server.url, &["books"]), AMPLE).await;
    assert_eq!(observation.outcome, Outcome::Healthy);
    let url = grpc_server_without_services().await;
    let observation = probe(settings(url), AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::BadAnswer, "knows no call of Milvus");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_taken() {
    let server = start(Play { listing: Scene::Huge, ..Play::default() }).await;
    let observation = probe(settings(&server.url), AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::BadAnswer, "ShowCollections: ");
}

#[tokio::test]
async fn the_right_password_passes_and_a_wrong_or_missing_one_is_named() {
    let play = Play { authorization: Some("cm9vdDpNaWx2dXM=".into()), ..Play::default() };
    let server = start(play).await;
    let observation = probe(settings(&server.url), AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::Unauthorized, "UNAUTHENTICATED");

    let file = tempfile::NamedTempFile::new().expect("a file");
    let password = SecretFile::new(file.path());
    let credentials = Credentials::Password { user: "root".into(), password };
    let probe = MilvusProbe::new(MilvusProbeSettings { credentials, ..settings(&server.url) });
    std::fs::write(file.path(), "wrong").expect("a written file");
    let observation = probe_with(&probe, AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::Unauthorized, "UNAUTHENTICATED");
    // Mended while falconer runs.
    std::fs::write(file.path(), "Milvus\n").expect("a written file");
    assert_eq!(probe_with(&probe, AMPLE).await.outcome, Outcome::Healthy);
}

#[tokio::test]
async fn tls_with_an_own_ca_works_and_a_strangers_certificate_does_not() {
    let certificate = certificate();
    let server = start_with_tls(Play::default(), &certificate).await;
    let mut settings = settings(&server.url);
    settings.endpoint.ca_file = Some(certificate.file.path().into());
    let observation = probe(settings.clone(), AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::Connection, "TLS: ");
    settings.endpoint.server_name = Some("localhost".into());
    assert_eq!(probe(settings.clone(), AMPLE).await.outcome, Outcome::Healthy);
    let stranger = crate::probes::servers::certificate();
    settings.endpoint.ca_file = Some(stranger.file.path().into());
    let observation = probe(settings, AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::Connection, "TLS: ");
}

#[tokio::test]
async fn a_plaintext_client_at_a_tls_port_is_told_so() {
    let server = start_with_tls(Play::default(), &certificate()).await;
    let observation = probe(settings(server.url.replace("https:", "http:")), AMPLE).await;
    let reason = observation.outcome.reason().expect("a reason");
    assert!(reason.text.contains("expect TLS?"), "{reason}");
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_within_the_same_probe() {
    let server = start(Play::default()).await;
    let kept = MilvusProbeSettings { connection: Connection::Reuse, ..settings(&server.url) };
    let prober = MilvusProbe::new(kept);
    for _ in 0..2 {
        assert_eq!(probe_with(&prober, AMPLE).await.outcome, Outcome::Healthy);
    }
    let server = server.restart(Play::default()).await;
    assert_eq!(probe_with(&prober, AMPLE).await.outcome, Outcome::Healthy);
    server.stop().await;
    let observation = probe_with(&prober, AMPLE).await;
    assert_reason(&observation, "failed", ReasonKind::Refused, "connection refused");
}

#[tokio::test]
async fn a_server_that_never_answers_slows_no_other() {
    let hung = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let hung_url = format!("http://{}", hung.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hung.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    let server = start(Play::default()).await;
    let reuse = |url: &str| {
        MilvusProbe::new(MilvusProbeSettings { connection: Connection::Reuse, ..settings(url) })
    };
    let (dead, alive) = (reuse(&hung_url), reuse(&server.url));
    let rounds = async {
        for _ in 0..2 {
            assert!(probe_with(&dead, SHORT).await.outcome.is_failed());
        }
    };
    let beside = async {
        for _ in 0..20 {
            assert_eq!(probe_with(&alive, AMPLE).await.outcome, Outcome::Healthy);
        }
        // Its probes need no part of the time that the dead one takes.
        assert!(connections.load(Ordering::SeqCst) <= 2);
    };
    tokio::join!(rounds, beside);
    let opened = connections.load(Ordering::SeqCst);
    tokio::time::sleep(SHORT).await;
    assert_eq!(connections.load(Ordering::SeqCst), opened, "nobody connects between the probes");
    assert!(opened <= 4, "{opened} connections for two probes");
}

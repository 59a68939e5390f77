//! The pods probe and the process probe over real sockets: each pod has its own loopback address.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::probe::{PodsProbe, PodsProbeSettings, ProcessProbe, ProcessProbeSettings};
use falconer::model::{
    ComponentInventory, Inventory, Outcome, Owner, Pod, PodCondition, PodLife, Reason, ReasonKind,
    Resources, Role, Workload, WorkloadKind, WorkloadRef,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::servers::{listeners, request_path, serve, server, silence, write_answer};
use super::{AMPLE, assert_failed, probe};

const PAGES: [&str; 2] = [
    include_str!("../../data/milvus/metrics-2.3.5-empty.txt"),
    include_str!("../../data/milvus/metrics-2.3.5.txt"),
];

fn pod(name: &str, ip: Option<&str>, condition: PodCondition) -> Pod {
    Pod {
        name: name.into(),
        ip: ip.map(str::to_owned),
        condition,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: None,
        workload: None,
        life: PodLife::default(),
    }
}

fn inventory(name: &str, role: Role, pods: Vec<Pod>) -> Inventory {
    let reference = WorkloadRef {
        kind: WorkloadKind::Deployment,
        namespace: "milvus".into(),
        name: name.into(),
    };
    let workload = Workload {
        reference,
        desired_replicas: u32::try_from(pods.len()).expect("few pods"),
        ready_replicas: 0,
        paused: false,
        rolling_out: false,
        owner: Owner::None,
        autoscaler: None,
        gitops: None,
        holds: Vec::new(),
        revision: None,
    };
    let component = ComponentInventory { role: Some(role), workloads: vec![workload], pods };
    let components = BTreeMap::from([(Arc::from(name), component)]);
    Inventory { synced: true, error: None, components }
}

fn watched(inventory: Inventory) -> watch::Receiver<Arc<Inventory>> {
    watch::channel(Arc::new(inventory)).1
}

fn pods_probe(component: &str, port: u16, inventory: Inventory) -> PodsProbe {
    let settings = PodsProbeSettings { metrics_port: port, ..PodsProbeSettings::new(component) };
    PodsProbe::new(settings, watched(inventory), Clock::system())
}

/// Healthy, with an empty metrics page.
async fn healthy(mut socket: TcpStream) {
    let path = request_path(&mut socket).await;
    let body = if path == "/healthz" { "OK" } else { "" };
    write_answer(&mut socket, "200 OK", body).await;
}

#[tokio::test]
async fn every_pod_is_asked_and_the_sick_ones_are_named() {
    let (port, sockets) = listeners(3).await;
    let mut sockets = sockets.into_iter();
    serve(sockets.next().expect("a socket"), healthy);
    serve(sockets.next().expect("a socket"), silence);
    serve(sockets.next().expect("a socket"), |mut socket: TcpStream| async move {
        request_path(&mut socket).await;
        let body = "Not all components are healthy, 1/2";
        write_answer(&mut socket, "500 Internal Server Error", body).await;
    });
    let pods = vec![
        pod("qn-a", Some("127.0.0.1"), PodCondition::Ready),
        pod("qn-b", Some("127.0.0.2"), PodCondition::Ready),
        pod("qn-c", Some("127.0.0.3"), PodCondition::NotReady),
        pod("qn-d", Some("127.0.0.4"), PodCondition::Terminating),
    ];
    let prober = pods_probe("querynode", port, inventory("querynode", Role::QueryNode, pods));
    let observation = probe(&prober, Duration::from_secs(1)).await;
    let text = "1/3 pods healthy: qn-b timeout after 1s; qn-c status 500: Not all components are \
                healthy, 1/2";
    assert_failed(&observation, ReasonKind::SomePods, text);
    let names: Vec<_> = observation.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["qn-a", "qn-b", "qn-c", "qn-d"]);
    assert_eq!(*observation.targets[1].address, *format!("http://127.0.0.2:{port}/healthz"));
    assert_eq!(*observation.targets[3].address, *"");
}

#[tokio::test]
async fn figures_come_from_two_readings_of_the_metrics_page() {
    let readings = Arc::new(AtomicUsize::new(0));
    let server = server(move |mut socket: TcpStream| {
        let readings = Arc::clone(&readings);
        async move {
            let body = match request_path(&mut socket).await.as_str() {
                "/healthz" => "OK",
                _ => PAGES[readings.fetch_add(1, Ordering::SeqCst).min(1)],
            };
            write_answer(&mut socket, "200 OK", body).await;
        }
    })
    .await;
    let pods = vec![pod("proxy-a", Some("127.0.0.1"), PodCondition::Ready)];
    let prober = pods_probe("proxy", server.address.port(), inventory("proxy", Role::Proxy, pods));
    let first = probe(&prober, AMPLE).await;
    assert_eq!(first.outcome, Outcome::Healthy);
    let figures = first.targets[0].performance.clone().expect("figures");
    assert_eq!((figures.qps, figures.error), (None, None));
    assert_eq!(figures.resident_memory_bytes, Some(262_733_824));

    let second = probe(&prober, AMPLE).await;
    let figures = second.targets[0].performance.clone().expect("figures");
    assert!(figures.qps.expect("a rate") > 0.0);
    assert_eq!(figures.error_rate, Some(0.0));
    // The same numbers as in the tests of the figures themselves: they do not depend on time.
    assert!((figures.latency_p99_ms.expect("a quantile") - 12.48).abs() < 1e-9);
}

#[tokio::test]
async fn a_metrics_page_without_end_changes_no_verdict() {
    let server = server(|mut socket: TcpStream| async move {
        if request_path(&mut socket).await == "/healthz" {
            return write_answer(&mut socket, "200 OK", "OK").await;
        }
        drop(socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        let line = b"milvus_proxy_req_count{function_name=\"Search\",status=\"total\"} 1\n";
        while socket.write_all(line).await.is_ok() {}
    })
    .await;
    let pods = vec![pod("proxy-a", Some("127.0.0.1"), PodCondition::Ready)];
    let prober = pods_probe("proxy", server.address.port(), inventory("proxy", Role::Proxy, pods));
    let observation = probe(&prober, Duration::from_secs(1)).await;
    assert_eq!(observation.outcome, Outcome::Healthy);
    let figures = observation.targets[0].performance.clone().expect("a report");
    let error = figures.error.expect("an error");
    assert!(error.contains("timeout") || error.contains("larger than"), "{error}");
    assert_eq!(figures.qps, None);
}

#[tokio::test]
async fn what_the_platform_does_not_know_is_not_the_components_fault() {
    let server = server(healthy).await;
    let port = server.address.port();
    let observation = probe(&pods_probe("proxy", port, Inventory::default()), AMPLE).await;
    let reason = observation.outcome.reason().expect("a reason");
    assert_eq!(observation.outcome.as_str(), "degraded");
    assert_eq!(reason.kind, ReasonKind::PlatformUnavailable);

    let pods = vec![pod("proxy-a", Some("127.0.0.1"), PodCondition::Ready)];
    let error = Some(Reason::new(ReasonKind::PlatformUnavailable, "401 Unauthorized"));
    let stale = Inventory { error, ..inventory("proxy", Role::Proxy, pods) };
    let observation = probe(&pods_probe("proxy", port, stale), AMPLE).await;
    let reason = observation.outcome.reason().expect("a reason");
    assert!(reason.text.contains("401 Unauthorized") && reason.text.contains("all pods healthy"));
    assert_eq!(observation.outcome.as_str(), "degraded");
    assert!(server.connections() > 0, "the last known pods are asked all the same");
}

fn process_probe(url: String, pods: Vec<Pod>) -> ProcessProbe {
    let settings = ProcessProbeSettings::new("standalone", url);
    let inventory = inventory("standalone", Role::Standalone, pods);
    ProcessProbe::new(settings, watched(inventory), Clock::system())
}

#[tokio::test]
async fn a_process_is_asked_only_while_it_runs() {
    let server = server(healthy).await;
    let url = server.url("/healthz");
    let ended = PodCondition::Ended { message: "killed by signal 9".into() };
    let observation = probe(&process_probe(url.clone(), vec![pod("m", None, ended)]), AMPLE).await;
    assert_failed(&observation, ReasonKind::NotRunning, "m is not running: killed by signal 9");
    let observation = probe(&process_probe(url.clone(), Vec::new()), AMPLE).await;
    assert_failed(&observation, ReasonKind::NotRunning, "standalone is not running");
    assert_eq!(server.connections(), 0);

    let running = vec![pod("m", None, PodCondition::Ready)];
    let observation = probe(&process_probe(url, running), AMPLE).await;
    assert_eq!(observation.outcome, Outcome::Healthy);
    assert_eq!(*observation.targets[0].name, *"m");
}

#[tokio::test]
async fn a_process_that_runs_and_does_not_answer_is_a_timeout() {
    let server = server(silence).await;
    let running = vec![pod("m", None, PodCondition::Ready)];
    let prober = process_probe(server.url("/healthz"), running);
    let observation = probe(&prober, Duration::from_millis(300)).await;
    assert_failed(&observation, ReasonKind::Timeout, "timeout after 300ms");
}

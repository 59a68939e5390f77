//! A real falconer that scales a simulated cluster under load: which object it changes, and what it
//! says where it changes nothing.

use std::process::Command;
use std::time::Duration;

use falconer::effects::journal::read_file;
use falconer::model::{JournalKind, JournalQuery, JournalRecord, Role};
use falconer::sim::{
    ApiRequest, ComponentSettings, Fault, Layout, RollingMode, SimSettings, Simulation,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::running::{Falconer, free_address};

const NAMESPACE: &str = "/apis/apps/v1/namespaces/milvus-ha";
const MILVUS: &str = "/apis/milvus.io/v1beta1/namespaces/milvus-ha/milvuses/milvus";
const HPAS: &str = "/apis/autoscaling/v2/namespaces/milvus-ha/horizontalpodautoscalers";

/// Two query nodes of which each has twice as much to do as it should.
fn busy(layout: Layout) -> (Runtime, Simulation) {
    let runtime = Runtime::new().expect("a runtime");
    let sim = Simulation::start(SimSettings {
        layout,
        rolling_mode: RollingMode::TwoForQueryNode,
        components: vec![
            ComponentSettings::of(Role::Proxy, 1),
            ComponentSettings::of(Role::QueryNode, 2),
        ],
        metrics_port: Some(0),
        startup: Duration::from_millis(200),
        termination: Duration::from_millis(50),
        ..SimSettings::default()
    })
    .expect("a simulation");
    assert!(runtime.block_on(sim.settled(Duration::from_secs(20))), "the pods become ready");
    let component = "querynode".to_owned();
    sim.inject(Fault::SetLoad { component, cpu_milli: 3_000 }).expect("there");
    (runtime, sim)
}

fn start(sim: &Simulation, arguments: &[&str]) -> Falconer {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, sim.kubeconfig()).expect("written");
    let server = free_address();
    let text = format!(
        "[clusters.a]\nplatform = \"kubernetes\"\nnamespace = \"milvus-ha\"\n\
         kubeconfig = \"{}\"\nmilvus = \"{}\"\nmetrics_port = {}\n\
         [probers]\ninterval = \"200ms\"\ntimeout = \"1s\"\nsuccess_threshold = 1\n\
         [supervisor]\nstartup_grace = \"0s\"\n[recoverer]\nenabled = false\n\
         [recorder]\npath = \"falconer.db\"\n[leader_election]\nenabled = false\n\
         [scaler]\ninterval = \"500ms\"\ncomponents = [\"querynode\"]\nmax_replicas = 3\n\
         [server]\nlisten = \"{server}\"\n",
        kubeconfig.display(),
        sim.milvus_url(),
        sim.metrics_port(),
    );
    std::fs::write(folder.path().join("actors.toml"), text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    Falconer::start_by(command.arg("run").args(arguments), folder, server, &[])
}

/// What was done to workloads and custom resources.
fn changes(sim: &Simulation) -> Vec<ApiRequest> {
    sim.api_requests().matching(ApiRequest::is_disruption)
}

fn scaler(falconer: &Falconer) -> Value {
    falconer.json("/api/v1/status")["scaler"].clone()
}

/// What the scaler says of the component now.
fn said(falconer: &Falconer) -> String {
    let status = falconer.json("/api/v1/status");
    let words = &status["clusters"]["a"]["components"]["querynode"]["scaling"];
    words.as_str().unwrap_or_default().to_owned()
}

fn journalled(falconer: &Falconer, words: &str) -> bool {
    let path = falconer.process().1.join("falconer.db");
    let query = JournalQuery { component: None, kinds: vec![JournalKind::Scaling], limit: 100 };
    let entries = read_file(&path, &query).unwrap_or_default();
    entries.iter().any(|entry| match &entry.record {
        JournalRecord::Scaling { words: found, .. } => found.contains(words),
        _ => false,
    })
}

fn replicas(sim: &Simulation) -> u64 {
    sim.workload("querynode").expect("it is there").replicas
}

#[test]
fn a_busy_component_of_the_operator_grows_by_its_custom_resource_and_never_by_its_deployment() {
    let (_runtime, sim) = busy(Layout::Operator);
    let falconer = start(&sim, &[]);
    falconer.until("the third query node is ready", || said(&falconer).contains("all ready"));
    assert_eq!(replicas(&sim), 3);
    let changes = changes(&sim);
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let ApiRequest { path, query, content_type, body, .. } = &changes[0];
    assert_eq!(path, MILVUS);
    let exact = format!("PATCH {path}?{query} {content_type} {body}");
    let shown = scaler(&falconer)["recent"].clone();
    let recent = shown.as_array().expect("a list");
    let begun = recent.iter().find(|record| record["kind"] == "started").expect("it has begun");
    assert_eq!(begun["change"], exact.as_str());
    falconer.until("the journal has it", || journalled(&falconer, &exact));
}

#[test]
fn a_dry_run_shows_the_exact_patch_everywhere_and_sends_nothing() {
    for (layout, path) in [
        (Layout::Helm, format!("{NAMESPACE}/deployments/milvus-querynode/scale")),
        (Layout::Operator, MILVUS.to_owned()),
    ] {
        let (_runtime, sim) = busy(layout);
        let falconer = start(&sim, &["--dry-run"]);
        falconer.until("the patch is shown", || said(&falconer).contains("dry run: would scale"));
        let shown = scaler(&falconer)["recent"].clone();
        let recent = shown.as_array().expect("a list");
        let record = recent.iter().find(|record| record["kind"] == "dry_run").expect("it is shown");
        let exact = record["change"].as_str().expect("the patch").to_owned();
        let start = format!("PATCH {path}?fieldManager=falconer");
        assert!(exact.starts_with(&start), "{exact}");
        assert!(exact.contains(" application/merge-patch+json {\"metadata\""), "{exact}");
        assert!(said(&falconer).ends_with(&exact), "{}", said(&falconer));
        falconer.until("the journal has it", || journalled(&falconer, &exact));
        let begin = "PATCH /apis";
        assert!(
            !falconer.logged(&["dry run: would scale", begin]).is_empty(),
            "{}",
            falconer.log()
        );
        assert!(changes(&sim).is_empty(), "{:#?}", changes(&sim));
        assert_eq!(replicas(&sim), 2);
    }
}

#[test]
fn with_an_hpa_present_falconer_says_what_it_would_do_and_patches_nothing() {
    let (runtime, sim) = busy(Layout::Helm);
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"}, "spec": {"maxReplicas": 5, "scaleTargetRef":
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "milvus-querynode"}}});
    let url = format!("{}{HPAS}", sim.api_url());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let posted = runtime.block_on(async {
        let request = reqwest::Client::new().post(url).header("content-type", "application/json");
        request.body(hpa.to_string()).send().await.expect("an answer").status()
    });
    assert_eq!(posted, 201);
    let falconer = start(&sim, &[]);
    let words = "HorizontalPodAutoscaler h scales deployment/milvus-querynode already; falconer \
                 would scale it from 2 to 3 replicas: CPU 1";
    falconer.until("it says so", || said(&falconer).contains(words));
    let observed = &scaler(&falconer)["observed"][0];
    assert_eq!(observed["would"], json!([2, 3]));
    assert_eq!(observed["autoscaler"]["name"], "h");
    // Many looks later it has said so once, and done nothing.
    std::thread::sleep(Duration::from_secs(3));
    let told = falconer.logged(&["scaling progressed", "would_scale_up"]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(changes(&sim).is_empty(), "{:#?}", changes(&sim));
    let page = falconer.get("/metrics").1;
    let counted = "kind=\"scale_up\",outcome=\"observed\"";
    assert!(page.lines().any(|line| line.contains(counted) && line.ends_with(" 1")), "{page}");
}

//! From the moment at which the Kubernetes API reports a pod as gone, crash-looping or not ready to
//! the supervisor's decision: a real `falconer run` with the usual intervals (30 s) against the
//! simulated Kubernetes API over loopback sockets.
//!
//! - An event begins when a watch of the bench's own on the same API receives it; the time from the
//!   injection, which adds the simulated controllers' own time, is given beside it.
//! - It ends with the line in falconer's log that the component's state has changed. What has not
//!   been decided within 10 s counts as missed, and is never left out.
//! - A pod is not ready because its health page hangs; the simulated kubelet finds that out within
//!   seconds, which are in the time from the injection.
//!
//! Beside it, on the same API in the same run, a poller as the reference is one: it lists the pods,
//! then sleeps for 30 s. It would see an event at the end of its first round that begins afterwards,
//! given that the fault lasts until then (here it does not: faults are healed after seconds), so that
//! is computed from the rounds that it really made; the round after the run's end is one more sleep
//! away. The last line is one JSON object.
//!
//! `FALCONER_WATCH_SECONDS` (150) is the length of the run.

#[path = "watch_to_decision/decisions.rs"]
mod decisions;
#[path = "watch_to_decision/faults.rs"]
mod faults;
#[path = "watch_to_decision/observer.rs"]
mod observer;
mod support;

use std::time::Duration;

use anyhow::ensure;
use falconer::sim::{Probing, SimSettings, Simulation};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use decisions::Decisions;
use faults::{Cluster, Kind};
use observer::{Observer, Poller, now_us};
use support::falconer::Falconer;
use support::noise::Noise;
use support::report::{percentile, print, progress, rounded, seconds};

/// What the reference sleeps between two rounds.
const REFERENCE_PAUSE: Duration = Duration::from_secs(30);
/// An event that is not decided within this time is missed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long everything may take to be well, at first and again after a round.
const RECOVERY: Duration = Duration::from_secs(60);

/// One thing that went wrong, in microseconds of the system's clock.
struct Event {
    kind: Kind,
    component: String,
    pod: String,
    injected: u64,
    emitted: Option<u64>,
    decided: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    falconer::effects::install_tls_provider();
    let sim = Simulation::start(SimSettings {
        metrics_port: Some(0),
        probing: Some(Probing::QUICK),
        startup: Duration::from_millis(300),
        termination: Duration::from_millis(200),
        ..SimSettings::default()
    })?;
    ensure!(sim.settled(RECOVERY).await, "the simulated pods do not become ready");
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, sim.kubeconfig())?;
    let falconer = Falconer::start(&configuration(&sim, &kubeconfig.display().to_string()))?;
    let mut decisions = Decisions::of(&falconer);
    let cluster = Cluster::new(&sim)?;
    decisions.wait_until_healthy(cluster.components(), RECOVERY).await?;
    let listed = pod_lists(&sim);
    let poller = Poller::start(&sim, REFERENCE_PAUSE)?;
    let observer = Observer::start(&sim).await?;

    let noise = Noise::listen();
    let length = seconds("FALCONER_WATCH_SECONDS", 150);
    let ends = Instant::now() + length;
    let mut events = Vec::new();
    let mut round = 0;
    while Instant::now() < ends {
        events.extend(play(round, &cluster, &observer, &mut decisions).await?);
        round += 1;
        progress(format!("{} events in {round} rounds", events.len()));
    }
    let lists = pod_lists(&sim) - listed;
    let mut figures = figures(&events, &poller.rounds());
    figures.insert("seconds".to_owned(), json!(length.as_secs()));
    figures.insert("pod_lists".to_owned(), json!(lists));
    figures.insert("machine_late".to_owned(), noise.summary());
    falconer.terminate()?;
    print("watch_to_decision", &Value::Object(figures));
    Ok(())
}

/// The usual intervals and thresholds; only the way back to healthy is short, for the next round.
fn configuration(sim: &Simulation, kubeconfig: &str) -> String {
    format!(
        r#"[clusters.bench]
platform = "kubernetes"
namespace = "{namespace}"
kubeconfig = "{kubeconfig}"
milvus = "{milvus}"
metrics_port = {port}

[probers]
success_threshold = 1

[telemetry]
log_format = "json"
"#,
        namespace = sim.settings().namespace,
        milvus = sim.milvus_url(),
        port = sim.metrics_port(),
    )
}

/// How often falconer has listed the pods.
fn pod_lists(sim: &Simulation) -> usize {
    let ours = |request: &&falconer::sim::ApiRequest| {
        request.verb == "list"
            && request.path.starts_with("/api/v1/")
            && request.path.ends_with("/pods")
            && !request.user_agent.starts_with(observer::USER_AGENT)
    };
    sim.api_requests().all().iter().filter(ours).count()
}

/// Something goes wrong with every component, each at a moment of its own; then all is healed.
async fn play(
    round: usize,
    cluster: &Cluster<'_>,
    observer: &Observer,
    decisions: &mut Decisions,
) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    for (index, component) in cluster.components().iter().enumerate() {
        sleep(Duration::from_millis(fastrand::u64(20..250))).await;
        let kind = Kind::ALL[(round + index) % Kind::ALL.len()];
        let at_once = (round / Kind::ALL.len()) % 2 == 1;
        let injected = now_us();
        let pod = cluster.break_one(component, kind, at_once).await?;
        let component = component.clone();
        events.push(Event { kind, component, pod, injected, emitted: None, decided: None });
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && events.iter().any(|event| event.decided.is_none()) {
        sleep(Duration::from_millis(20)).await;
        decisions.read()?;
        for event in &mut events {
            event.emitted = observer.first(&event.pod, event.kind, event.injected);
            event.decided = decisions.first_complaint(&event.component, event.injected);
        }
    }
    cluster.heal();
    ensure!(cluster.settled(RECOVERY).await, "the simulated pods do not become ready again");
    // What was broken a moment ago is not to be taken for what breaks next.
    sleep(Duration::from_millis(1_200)).await;
    decisions.wait_until_healthy(cluster.components(), RECOVERY).await?;
    Ok(events)
}

fn figures(events: &[Event], rounds: &[(u64, u64)]) -> Map<String, Value> {
    let mut figures = Map::new();
    let mut by_kind = Map::new();
    for kind in Kind::ALL {
        let ours: Vec<&Event> = events.iter().filter(|event| event.kind == kind).collect();
        by_kind.insert(kind.as_str().to_owned(), json!(summary(&ours, rounds)));
    }
    let every: Vec<&Event> = events.iter().collect();
    figures.insert("kinds".to_owned(), Value::Object(by_kind));
    figures.extend(summary(&every, rounds));
    figures.insert("reference_pause_s".to_owned(), json!(REFERENCE_PAUSE.as_secs()));
    figures.insert("reference_rounds".to_owned(), json!(rounds.len()));
    figures
}

fn summary(events: &[&Event], rounds: &[(u64, u64)]) -> Map<String, Value> {
    let since = |from: Option<u64>, to: Option<u64>| match (from, to) {
        // falconer may be told a moment before the bench's own watch is.
        (Some(from), Some(to)) => to.saturating_sub(from) as f64 / 1e3,
        _ => f64::INFINITY,
    };
    let sorted = |times: &mut dyn Iterator<Item = f64>| {
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let decided = sorted(&mut events.iter().map(|event| since(event.emitted, event.decided)));
    let injected =
        sorted(&mut events.iter().map(|event| since(Some(event.injected), event.decided)));
    let polled = sorted(&mut events.iter().map(|event| {
        let emitted = event.emitted.unwrap_or(event.injected);
        since(Some(emitted), Some(observer::would_see(rounds, emitted, REFERENCE_PAUSE)))
    }));
    let mut figures = Map::new();
    figures.insert("events".to_owned(), json!(events.len()));
    let missed = decided.iter().filter(|time| time.is_infinite()).count();
    figures.insert("missed".to_owned(), json!(missed));
    for (name, times) in [("", &decided), ("from_injection_", &injected), ("reference_", &polled)] {
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let figure = rounded(percentile(times, share), 1);
            figures.insert(format!("{name}{quantile}_ms"), figure);
        }
    }
    for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
        let ratio = percentile(&polled, share) / percentile(&decided, share);
        figures.insert(format!("{quantile}_ratio"), rounded(ratio, 1));
    }
    figures
}

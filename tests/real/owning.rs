//! The process platform alone with a real Milvus: how long it takes to stop a loaded one, and what
//! is left of its data.

use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::process::{
    ProcessCluster, ProcessClusterSettings, ProcessResourcesProbe, ProcessSettings, ProcessUsage,
};
use falconer::effects::{Cluster, Probe, RestartRequest};
use falconer::model::{RolloutStatus, Timestamp, WorkloadKind, WorkloadRef};
use nix::sys::signal::Signal;

use super::laptop::{Laptop, eventually, http_get};

const PATIENCE: Duration = Duration::from_secs(120);
/// From the first SIGTERM to the second; a loaded Milvus seldom ends after one.
const STOP_GRACE: Duration = Duration::from_secs(5);

fn settings(laptop: &Laptop) -> ProcessClusterSettings {
    let process = ProcessSettings {
        start: Some(laptop.command().to_vec()),
        env: laptop.env.clone(),
        working_dir: Some(laptop.data()),
        log_file: laptop.path("milvus.log"),
        stop_grace: STOP_GRACE,
        ..ProcessSettings::new("standalone")
    };
    ProcessClusterSettings { cluster: Arc::from("laptop"), processes: vec![process] }
}

fn until_healthy(laptop: &Laptop) {
    eventually("Milvus is healthy", PATIENCE, || {
        http_get(laptop.metrics_port, "/healthz").is_some_and(|(code, _)| code == 200)
    });
}

async fn restart(cluster: &ProcessCluster, key: &str) -> RolloutStatus {
    let workload = WorkloadRef {
        kind: WorkloadKind::Process,
        namespace: Arc::from(""),
        name: Arc::from("standalone"),
    };
    let idempotency_key = key.to_owned();
    let request =
        RestartRequest { workload: workload.clone(), at: Timestamp::default(), idempotency_key };
    let applied = cluster.restart(&request).await.unwrap();
    println!("{}", applied.change);
    loop {
        match cluster.rollout_status(&workload).await.unwrap() {
            RolloutStatus::InProgress { .. } => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            done => return done,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loaded_milvus_is_restarted_by_its_owner_and_keeps_its_data() {
    let laptop = Laptop::new(&[]);
    let clock = Clock::system();
    let cluster = ProcessCluster::start(settings(&laptop), clock);
    until_healthy(&laptop);
    println!("start: healthy after {:.1} s", clock.uptime().as_secs_f64());
    let seeded = laptop.seed(None);
    println!("seeded: {seeded:?}");
    let usage = Arc::new(ProcessUsage::new(Arc::clone(&cluster), clock));
    usage.sample();

    for (key, fault) in [("loaded", None), ("stopped", Some(Signal::SIGSTOP))] {
        if let Some(signal) = fault {
            laptop.signal(signal);
        }
        let begun = clock.now();
        assert_eq!(restart(&cluster, key).await, RolloutStatus::Complete);
        println!("{key}: new process after {:.1} s", clock.now().since(begun).as_secs_f64());
        until_healthy(&laptop);
        println!("{key}: healthy after {:.1} s", clock.now().since(begun).as_secs_f64());
        let mut found = Err(String::new());
        eventually("the collections are loaded again", PATIENCE, || {
            found = laptop.report(None);
            found.is_ok()
        });
        println!("{key}: answers after {:.1} s", clock.now().since(begun).as_secs_f64());
        for (name, kept) in found.unwrap() {
            assert_eq!(kept.rows, seeded[&name].rows);
        }
    }

    let observed = ProcessResourcesProbe::new(usage).probe(Duration::from_secs(5)).await;
    println!("usage: {:?}", observed.usage);
    assert!(observed.usage[0].memory_bytes.unwrap() > 100 * 1024 * 1024);
    let ending = clock.now();
    cluster.shutdown(Duration::from_secs(10)).await;
    println!("shutdown: {:.1} s", clock.now().since(ending).as_secs_f64());
    assert_eq!(laptop.milvus_pid(), None);
}

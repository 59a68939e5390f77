//! The processes of one machine, with small shell scripts in the place of Milvus.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::process::{
    OnExit, ProcessCluster, ProcessClusterSettings, ProcessResourcesProbe, ProcessSettings,
    ProcessUsage,
};
use falconer::effects::{
    ActionQuery, ActionTrace, Cluster, ClusterError, EvidenceRequest, Probe, RestartRequest,
    ScaleRequest,
};
use falconer::model::{
    ClusterEvent, EventType, Inventory, Outcome, PodCondition, RolloutStatus, Timestamp,
    WorkloadKind, WorkloadRef,
};
use tempfile::TempDir;

/// Far more than anything here takes; only a broken run reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with the files of one process, and the settings to start it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A process that runs this shell script in the folder.
    fn script(&self, script: &str) -> ProcessSettings {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ProcessSettings { start: Some(command), ..self.idle() }
    }

    /// A process of which only the restart command is known.
    fn commanded(&self, script: &str) -> ProcessSettings {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ProcessSettings { restart: Some(command), ..self.idle() }
    }

    fn idle(&self) -> ProcessSettings {
        ProcessSettings {
            log_file: self.path("milvus.log"),
            working_dir: Some(self.folder.path().to_owned()),
            stop_grace: Duration::from_secs(2),
            kill_grace: Duration::from_millis(500),
            ..ProcessSettings::new("standalone")
        }
    }
}

fn start(settings: ProcessSettings) -> Arc<ProcessCluster> {
    let settings =
        ProcessClusterSettings { cluster: Arc::from("laptop"), processes: vec![settings] };
    ProcessCluster::start(settings, Clock::system())
}

fn workload() -> WorkloadRef {
    WorkloadRef {
        kind: WorkloadKind::Process,
        namespace: Arc::from(""),
        name: Arc::from("standalone"),
    }
}

fn restart(key: &str) -> RestartRequest {
    RestartRequest {
        workload: workload(),
        at: Timestamp::default(),
        idempotency_key: key.to_owned(),
    }
}

fn condition(inventory: &Inventory) -> PodCondition {
    inventory.components["standalone"].pods[0].condition.clone()
}

async fn until(cluster: &ProcessCluster, wanted: impl Fn(&PodCondition) -> bool) -> PodCondition {
    let mut inventory = cluster.inventory();
    let found = inventory.wait_for(|inventory| wanted(&condition(inventory)));
    let found = tokio::time::timeout(PATIENCE, found).await.expect("in time");
    condition(&found.unwrap())
}

async fn until_ready(cluster: &ProcessCluster) {
    until(cluster, |condition| *condition == PodCondition::Ready).await;
}

async fn until_ended(cluster: &ProcessCluster) -> String {
    let ended = until(cluster, |condition| matches!(condition, PodCondition::Ended { .. })).await;
    match ended {
        PodCondition::Ended { message } => message,
        other => panic!("{other:?}"),
    }
}

async fn until_rolled_out(cluster: &ProcessCluster) -> RolloutStatus {
    let rolled_out = async {
        loop {
            match cluster.rollout_status(&workload()).await.unwrap() {
                RolloutStatus::InProgress { .. } => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                done => return done,
            }
        }
    };
    tokio::time::timeout(PATIENCE, rolled_out).await.expect("in time")
}

async fn until_file(path: &Path) -> String {
    let written = async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("in time")
}

/// Whether the process runs; one that nobody has reaped yet does not.
fn runs(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.trim())) else { return false };
    !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z')
}

async fn until_gone(pid: &str) {
    let gone = async {
        while runs(pid) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("in time");
}

const SLEEPER: &str = "echo $$ >> pids; echo up; exec sleep 600";

#[tokio::test]
async fn a_process_is_started_shown_restarted_once_per_key_and_stopped() {
    let place = Place::new();
    let cluster = start(place.script(SLEEPER));
    assert!(cluster.inventory().borrow().synced);
    until_ready(&cluster).await;
    let first = until_file(&place.path("pids")).await;
    let change = cluster.describe_restart(&restart("a"));
    assert!(change.contains(&format!("(pid {first})")), "{change}");
    assert!(change.contains("SIGTERM") && change.contains("sleep 600"), "{change}");

    let applied = cluster.restart(&restart("a")).await.unwrap();
    assert!(applied.applied);
    assert_eq!(applied.change, change);
    assert!(cluster.inventory().borrow().components["standalone"].workloads[0].rolling_out);
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    assert!(!runs(&first));
    cluster.restart(&restart("a")).await.unwrap();
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    assert_eq!(place.read("pids").lines().count(), 2, "the same key restarts once");

    let second = place.read("pids").lines().last().unwrap().to_owned();
    assert!(runs(&second));
    cluster.shutdown(Duration::from_secs(5)).await;
    assert!(!runs(&second));
    assert_eq!(place.read("milvus.log"), "up\nup\n");
    assert_eq!(place.read("milvus.log.pid"), "");
}

#[tokio::test]
async fn a_process_that_ends_is_told_with_its_last_words_and_not_started_again() {
    let place = Place::new();
    let cluster = start(place.script("echo x >> starts; sleep 1.5; echo disk is full >&2; exit 7"));
    until_ready(&cluster).await;
    let message = until_ended(&cluster).await;
    assert_eq!(message, "exited with status 7 (last output: disk is full)");
    let failed = cluster.rollout_status(&workload()).await.unwrap();
    assert_eq!(failed, RolloutStatus::Failed { message });
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(place.read("starts").lines().count(), 1);

    cluster.restart(&restart("again")).await.unwrap();
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    assert_eq!(place.read("starts").lines().count(), 2);
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_killed_process_is_told_with_the_signal() {
    let place = Place::new();
    let cluster = start(place.script("echo $$ > pid; kill -KILL $$"));
    let message = until_ended(&cluster).await;
    assert_eq!(message, "ended by SIGKILL");
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_process_that_exits_at_once_fails_its_restart() {
    let place = Place::new();
    let cluster = start(place.script("echo no configuration; exit 1"));
    until_ended(&cluster).await;
    cluster.restart(&restart("a")).await.unwrap();
    let message = "exited with status 1 (last output: no configuration)".to_owned();
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Failed { message });
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_restart_whose_process_dies_once_at_its_start_is_started_again() {
    let place = Place::new();
    // The first start and the one of the restart fail, the next one does not.
    let script = "echo start >> starts; [ $(wc -l < starts) -ge 3 ] && exec sleep 60; exit 1";
    let cluster = start(place.script(script));
    until_ended(&cluster).await;
    cluster.restart(&restart("a")).await.unwrap();
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_told_at_the_start_and_at_each_restart() {
    let place = Place::new();
    let start_command = Some(vec!["./no-such-milvus".to_owned(), "run".to_owned()]);
    let cluster = start(ProcessSettings { start: start_command, ..place.idle() });
    let message = until_ended(&cluster).await;
    assert!(message.contains("could not be started: ./no-such-milvus"), "{message}");
    for _ in 0..2 {
        // The same key: nothing was done under it.
        let error = cluster.restart(&restart("a")).await.unwrap_err();
        assert!(matches!(error, ClusterError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("not found"), "{error}");
    }
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_running_process_is_not_stopped_for_a_successor_that_cannot_start() {
    let place = Place::new();
    let program = place.path("milvus");
    fs::write(&program, format!("#!/bin/sh\n{SLEEPER}\n")).unwrap();
    let mode = |bits| std::os::unix::fs::PermissionsExt::from_mode(bits);
    fs::set_permissions(&program, mode(0o755)).unwrap();
    let command = Some(vec!["./milvus".to_owned()]);
    let cluster = start(ProcessSettings { start: command, ..place.idle() });
    until_ready(&cluster).await;
    let pid = until_file(&place.path("pids")).await;
    fs::set_permissions(&program, mode(0o644)).unwrap();
    cluster.restart(&restart("a")).await.unwrap_err();
    assert!(runs(&pid));
    assert_eq!(cluster.rollout_status(&workload()).await.unwrap(), RolloutStatus::Complete);
    cluster.shutdown(Duration::from_secs(5)).await;
    assert!(!runs(&pid));
}

#[tokio::test]
async fn a_second_sigterm_is_sent_where_one_is_not_enough() {
    let place = Place::new();
    let script = "trap 'echo term; test -e termed && exit 0; echo x > termed' TERM; echo $$ > pid; \
                  while :; do sleep 0.05; done";
    let settings = ProcessSettings {
        stop_grace: Duration::from_millis(500),
        kill_grace: Duration::from_secs(20),
        ..place.script(script)
    };
    let cluster = start(settings);
    until_ready(&cluster).await;
    let pid = until_file(&place.path("pid")).await;
    cluster.restart(&restart("a")).await.unwrap();
    until_gone(&pid).await;
    let heard = place.read("milvus.log").lines().filter(|line| *line == "term").count();
    assert_eq!(heard, 2, "{}", place.read("milvus.log"));
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    cluster.shutdown(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed() {
    let place = Place::new();
    let script = "trap '' TERM; echo $$ >> pids; while :; do sleep 0.05; done";
    let settings =
        ProcessSettings { stop_grace: Duration::from_millis(300), ..place.script(script) };
    let cluster = start(settings);
    until_ready(&cluster).await;
    let first = until_file(&place.path("pids")).await;
    cluster.restart(&restart("a")).await.unwrap();
    let busy = cluster.restart(&restart("b")).await.unwrap_err();
    assert!(matches!(busy, ClusterError::Conflict { .. }) && busy.is_retryable(), "{busy}");
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    assert!(!runs(&first));
    let second = place.read("pids").lines().last().unwrap().to_owned();
    cluster.shutdown(Duration::from_secs(1)).await;
    assert!(!runs(&second));
}

#[tokio::test]
async fn a_stopped_process_hears_its_sigterm() {
    let place = Place::new();
    let script = "trap 'echo bye; exit 0' TERM; echo $$ > pid; while :; do sleep 0.05; done";
    let settings = ProcessSettings { stop_grace: PATIENCE, ..place.script(script) };
    let cluster = start(settings);
    until_ready(&cluster).await;
    let pid = until_file(&place.path("pid")).await;
    assert!(std::process::Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    cluster.restart(&restart("a")).await.unwrap();
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    assert!(place.read("milvus.log").contains("bye\n"), "{}", place.read("milvus.log"));
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_server_behind_a_launcher_is_stopped_with_it() {
    let place = Place::new();
    // As the launcher of Milvus: the parent ends at SIGTERM, its child does the work and lingers.
    let script = "(trap 'sleep 0.5; exit 0' TERM; echo up > child_up; while :; do sleep 0.05; done) \
                  & echo $! >> children; wait";
    let cluster = start(place.script(script));
    until_ready(&cluster).await;
    let child = until_file(&place.path("children")).await;
    until_file(&place.path("child_up")).await;
    cluster.restart(&restart("a")).await.unwrap();
    assert_eq!(until_rolled_out(&cluster).await, RolloutStatus::Complete);
    assert!(!runs(&child), "gone means the whole group");
    cluster.shutdown(Duration::from_secs(5)).await;
    assert!(place.read("children").lines().all(|child| !runs(child)));
}

#[tokio::test]
async fn a_server_that_outlives_its_launcher_is_still_the_process() {
    let place = Place::new();
    let cluster = start(place.script("sleep 600 & echo $! > child; exit 0"));
    until_ready(&cluster).await;
    let child = until_file(&place.path("child")).await;
    let left = cluster.inventory().borrow().components["standalone"].pods[0].condition.clone();
    assert_eq!(left, PodCondition::Ready);
    assert!(std::process::Command::new("kill").args(["-KILL", &child]).status().unwrap().success());
    let message = until_ended(&cluster).await;
    assert!(message.starts_with("exited with status 0"), "{message}");
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_flood_of_output_is_rotated_and_bounded() {
    let place = Place::new();
    let script = "while :; do echo 0123456789012345678901234567890123456789; done";
    let settings = ProcessSettings { log_max_bytes: 10_000, log_files: 2, ..place.script(script) };
    let cluster = start(settings);
    let rotated = async {
        while !place.path("milvus.log.2").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, rotated).await.expect("in time");
    cluster.shutdown(Duration::from_secs(5)).await;
    for name in ["milvus.log.1", "milvus.log.2"] {
        assert!(place.read(name).len() <= 20_000, "{name}");
    }
    assert!(!place.path("milvus.log.3").exists());
}

#[tokio::test]
async fn a_process_is_adopted_by_the_next_falconer_and_stopped_by_it() {
    let place = Place::new();
    let first = start(place.script(SLEEPER));
    until_ready(&first).await;
    let pid = until_file(&place.path("pids")).await;
    let begun = first.inventory().borrow().components["standalone"].pods[0].started_at;
    drop(first);

    let second = start(place.script(SLEEPER));
    until_ready(&second).await;
    assert_eq!(place.read("pids").trim(), pid, "nothing was started beside it");
    assert_eq!(second.inventory().borrow().components["standalone"].pods[0].started_at, begun);
    second.shutdown(Duration::from_secs(5)).await;
    assert!(!runs(&pid));
}

#[tokio::test]
async fn the_end_of_an_adopted_process_is_noticed_and_it_can_be_restarted() {
    let place = Place::new();
    drop_after_start(&place).await;
    let pid = until_file(&place.path("pids")).await;
    let second = start(place.script(SLEEPER));
    until_ready(&second).await;
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    until_ended(&second).await;
    second.restart(&restart("a")).await.unwrap();
    assert_eq!(until_rolled_out(&second).await, RolloutStatus::Complete);
    assert_eq!(place.read("pids").lines().count(), 2);
    second.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_process_without_a_pid_file_is_still_not_started_twice() {
    let place = Place::new();
    drop_after_start(&place).await;
    let pid = until_file(&place.path("pids")).await;
    fs::write(place.path("milvus.log.pid"), "").unwrap();
    let second = start(place.script(SLEEPER));
    until_ready(&second).await;
    assert_eq!(place.read("pids").trim(), pid);
    second.shutdown(Duration::from_secs(5)).await;
    assert!(!runs(&pid));
}

async fn drop_after_start(place: &Place) {
    let first = start(place.script(SLEEPER));
    until_ready(&first).await;
    drop(first);
}

#[tokio::test]
async fn a_stale_pid_file_is_not_believed() {
    let place = Place::new();
    // This test's own process has the number, but another start.
    let stale = format!(
        r#"{{"name":"standalone","pid":{},"started_ticks":1,"boot_id":"x","started_at_millis":1}}"#,
        std::process::id()
    );
    fs::write(place.path("milvus.log.pid"), stale).unwrap();
    let cluster = start(place.script(SLEEPER));
    until_ready(&cluster).await;
    assert_eq!(place.read("pids").lines().count(), 1);
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_second_falconer_keeps_its_hands_off_until_the_first_is_gone() {
    let place = Place::new();
    let first = start(ProcessSettings { on_exit: OnExit::Leave, ..place.script(SLEEPER) });
    until_ready(&first).await;
    let second = start(place.script(SLEEPER));
    let message = until_ended(&second).await;
    assert!(message.contains("another falconer"), "{message}");
    let error = second.restart(&restart("a")).await.unwrap_err();
    assert!(error.to_string().contains("another falconer"), "{error}");

    first.shutdown(Duration::from_secs(5)).await;
    until_ready(&second).await;
    assert_eq!(place.read("pids").lines().count(), 1, "the process was left and taken over");
    second.shutdown(Duration::from_secs(5)).await;
    assert!(!runs(&place.read("pids")));
}

#[tokio::test]
async fn a_look_at_a_process_of_another_falconer_changes_nothing() {
    let place = Place::new();
    let observe = || {
        let processes = vec![place.script(SLEEPER)];
        let settings = ProcessClusterSettings { cluster: Arc::from("laptop"), processes };
        ProcessCluster::observe(settings, Clock::system())
    };
    let nobody = observe();
    assert_eq!(condition(&nobody.inventory().borrow()), PodCondition::Ready, "health tells");
    assert!(!place.path("milvus.log").exists() && !place.path("milvus.log.pid").exists());

    let keeper = start(place.script(SLEEPER));
    until_ready(&keeper).await;
    let looker = observe();
    assert_eq!(condition(&looker.inventory().borrow()), PodCondition::Ready);
    let usage = Arc::new(ProcessUsage::new(Arc::clone(&looker), Clock::system()));
    assert_eq!(usage.sample().len(), 1);
    let error = looker.restart(&restart("a")).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unsupported { .. }), "{error}");
    looker.shutdown(Duration::from_secs(1)).await;
    assert!(runs(&place.read("pids")));
    keeper.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_shutdown_cuts_a_restart_short() {
    let place = Place::new();
    let script = "trap '' TERM; echo $$ >> pids; while :; do sleep 0.05; done";
    let settings = ProcessSettings { stop_grace: PATIENCE * 10, ..place.script(script) };
    let cluster = start(settings);
    until_ready(&cluster).await;
    let pid = until_file(&place.path("pids")).await;
    cluster.restart(&restart("a")).await.unwrap();
    let ended = cluster.shutdown(Duration::from_secs(1));
    tokio::time::timeout(PATIENCE, ended).await.expect("in time");
    assert!(!runs(&pid));
    assert_eq!(place.read("pids").lines().count(), 1, "nothing is started for the end");
}

#[tokio::test]
async fn a_restart_command_is_run_to_its_end() {
    let place = Place::new();
    let cluster = start(place.commanded("echo x >> runs; (sleep 600 & echo $! > daemon)"));
    until_ready(&cluster).await;
    assert_eq!(
        cluster.describe_restart(&restart("a")),
        "run: sh -c echo x >> runs; (sleep 600 & echo $! > daemon)"
    );
    // What the command leaves behind keeps its output open, and must not be waited for.
    cluster.restart(&restart("a")).await.unwrap();
    cluster.restart(&restart("a")).await.unwrap();
    assert_eq!(place.read("runs").lines().count(), 1);
    assert_eq!(cluster.rollout_status(&workload()).await.unwrap(), RolloutStatus::Complete);
    let daemon = until_file(&place.path("daemon")).await;
    assert!(runs(&daemon), "what it has started is not ours to end");
    cluster.shutdown(Duration::from_secs(5)).await;
    assert!(std::process::Command::new("kill").arg(&daemon).status().unwrap().success());
}

#[tokio::test]
async fn a_restart_command_that_fails_tells_its_last_words() {
    let place = Place::new();
    let cluster = start(place.commanded("echo unit not found; exit 5"));
    let error = cluster.restart(&restart("a")).await.unwrap_err().to_string();
    assert!(error.contains("exited with status 5 (last output: unit not found)"), "{error}");
    let status = cluster.rollout_status(&workload()).await.unwrap();
    assert!(matches!(status, RolloutStatus::Failed { .. }), "{status:?}");
    cluster.restart(&restart("a")).await.unwrap_err();
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_restart_command_that_hangs_is_killed_with_all_it_started() {
    let place = Place::new();
    let settings = ProcessSettings {
        command_timeout: Duration::from_secs(1),
        ..place.commanded("sleep 600 & echo $! > child; wait")
    };
    let cluster = start(settings);
    let error = cluster.restart(&restart("a")).await.unwrap_err();
    assert!(matches!(error, ClusterError::Timeout { .. }), "{error}");
    until_gone(&until_file(&place.path("child")).await).await;
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_makes_no_sense_for_a_process_is_refused() {
    let place = Place::new();
    let cluster = start(place.idle());
    let unsupported = cluster.restart(&restart("a")).await.unwrap_err();
    assert!(matches!(unsupported, ClusterError::Unsupported { .. }), "{unsupported}");
    let scale = ScaleRequest { workload: workload(), from: 1, to: 2 };
    let refused = cluster.scale(&scale).await.unwrap_err();
    assert!(matches!(refused, ClusterError::Unsupported { .. }), "{refused}");
    let planned = cluster.plan_scale(&scale).await.unwrap_err();
    assert_eq!(planned.to_string(), refused.to_string());
    let unknown = WorkloadRef { name: Arc::from("proxy"), ..workload() };
    let error = cluster.rollout_status(&unknown).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotFound { .. }), "{error}");
    let event = ClusterEvent {
        workload: workload(),
        event_type: EventType::Warning,
        reason: "Restarted",
        message: "because".to_owned(),
    };
    cluster.record_event(&event).await.unwrap();
    cluster.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn usage_covers_the_whole_group() {
    let place = Place::new();
    let cluster = start(place.script("(while :; do :; done) & echo up > up; wait"));
    until_ready(&cluster).await;
    until_file(&place.path("up")).await;
    let usage = Arc::new(ProcessUsage::new(Arc::clone(&cluster), Clock::system()));
    let first = usage.sample();
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].pod.as_str(), first[0].cpu_milli), ("standalone", None));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let probe = ProcessResourcesProbe::new(usage);
    let observed = probe.probe(Duration::from_secs(5)).await;
    assert_eq!(observed.outcome, Outcome::Healthy);
    assert!(observed.usage[0].cpu_milli.unwrap() > 0, "the child's time counts: {observed:?}");
    assert!(observed.usage[0].memory_bytes.unwrap() > 100_000);
    cluster.shutdown(Duration::from_secs(5)).await;
    assert!(probe.probe(Duration::from_secs(5)).await.usage.is_empty());

    let place = Place::new();
    let cluster = start(place.commanded("true"));
    let usage = Arc::new(ProcessUsage::new(cluster, Clock::system()));
    let observed = ProcessResourcesProbe::new(usage).probe(Duration::from_secs(5)).await;
    assert!(matches!(observed.outcome, Outcome::Degraded { .. }), "{observed:?}");
}

#[tokio::test]
async fn its_last_words_are_evidence_and_a_restart_is_known_by_its_key() {
    let place = Place::new();
    let cluster = start(place.script("echo ready; echo 'panic: out of memory'; exit 3"));
    until_ended(&cluster).await;
    let request = |pods: &[&str]| EvidenceRequest {
        workload: workload(),
        pods: pods.iter().map(|pod| Arc::from(*pod)).collect(),
        log_lines: 1,
        log_bytes: 1000,
    };
    let found = cluster.evidence(&request(&["standalone"])).await.expect("evidence");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].text, "panic: out of memory");
    assert!(found[0].object.ends_with("milvus.log"), "{found:?}");

    let key = "incident/1".to_owned();
    let action =
        ActionQuery { workload: workload(), pod: None, force: false, idempotency_key: key };
    assert_eq!(cluster.find_action(&action).await.expect("a trace"), ActionTrace::NotDone);
    cluster.restart(&restart("incident/1")).await.expect("a restart");
    assert_eq!(cluster.find_action(&action).await.expect("a trace"), ActionTrace::Done);
    cluster.shutdown(Duration::from_secs(2)).await;
}

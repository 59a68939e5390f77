//! `falconer demo` as a person starts it: the binary, its report, and kubectl against it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn falconer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("FALCONER_LOG");
    command
}

fn report(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the report is written");
    serde_json::from_str(&text).expect("the report is JSON")
}

/// Ends what it holds, so that a failed test leaves nothing running.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_default_scenario_sees_every_event_at_the_far_side() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    let output = falconer().args(["demo", "--json"]).arg(&path).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&path);
    assert_eq!((&report["scenario"], &report["passed"]), (&"default".into(), &true.into()));
    assert!(report["wall_ms"].as_u64().is_some_and(|wall| wall < 60_000), "{report}");
    let reached = |event: &Value| {
        ["detect_ms", "alert_ms", "act_ms", "recover_ms"].map(|time| event[time].is_u64())
    };
    let events = report["events"].as_array().expect("events");
    let seen: Vec<(&str, [bool; 4])> =
        events.iter().map(|event| (event["name"].as_str().unwrap_or(""), reached(event))).collect();
    assert_eq!(
        seen,
        [
            ("hung-pod", [true, true, true, true]),
            ("component-500", [true, true, true, true]),
            ("stalled-prober", [true, false, false, true]),
            ("cpu-surge", [true, false, true, true]),
            ("cpu-surge-end", [true, false, true, true]),
        ]
    );
    assert!(!text.contains('\u{1b}'), "no control sequences where there is no terminal");
}

#[test]
fn a_hung_pod_costs_one_eviction_and_the_reference_rule_is_counted_beside_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    let arguments = ["demo", "--scenario", "hung-pod", "--json"];
    let output = falconer().args(arguments).arg(&path).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&path);
    assert_eq!(report["actions"]["falconer"], 1, "{report}");
    let rule = report["actions"]["reference_rule"].as_u64().expect("a number");
    assert!(rule >= 1, "{report}");
    assert_eq!(report["events"][0]["actions"]["eviction"], 1, "{report}");
    assert!(text.contains(&format!("actions: falconer 1, reference rule {rule}")), "{text}");
}

#[test]
fn a_kept_demo_answers_kubectl_and_ends_with_ctrl_c() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    let child = falconer()
        .args(["demo", "--scenario", "component-500", "--keep", "--json"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut running = Running(child);
    let output = running.0.stdout.take().expect("piped");
    let mut kubeconfig = None;
    let mut said = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.expect("text");
        if let Some(path) = line.trim().strip_prefix("kubeconfig ") {
            kubeconfig = Some(path.trim().to_owned());
        }
        let last = line.contains("kubectl --kubeconfig");
        said.push(line);
        if last {
            break;
        }
    }
    let kubeconfig = kubeconfig.unwrap_or_else(|| panic!("no kubeconfig in {said:?}"));
    assert_eq!(report(&path)["passed"], true, "{said:?}");
    if Command::new("kubectl").arg("version").arg("--client").output().is_ok() {
        for (arguments, expected) in [
            ("get pods", "milvus-datanode-"),
            ("get deployments", "milvus-proxy"),
            ("get events", "Scaled up replica set"),
            ("top pods", "milvus-querynode-"),
        ] {
            let answer = Command::new("kubectl")
                .args(["--kubeconfig", &kubeconfig, "--cache-dir"])
                .arg(directory.path())
                .args(arguments.split(' '))
                .output()
                .expect("kubectl runs");
            let text = String::from_utf8_lossy(&answer.stdout);
            assert!(answer.status.success() && text.contains(expected), "{arguments}: {text}");
        }
    } else {
        eprintln!("skipped: there is no kubectl on this machine");
    }
    let pid = i32::try_from(running.0.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("sent");
    let mut status = None;
    for _ in 0..500 {
        status = running.0.try_wait().expect("it is ours");
        if status.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(status.expect("it ends with Ctrl-C").success());
    assert!(!Path::new(&kubeconfig).exists(), "the demo takes its files with it");
}

#[test]
fn an_unknown_scenario_is_refused_with_the_list_of_those_there_are() {
    let output = falconer().args(["demo", "--scenario", "earthquake"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    let tour = ["default", "hung-pod", "component-500", "stalled-prober", "cpu-surge"];
    let incidents = ["etcd-outage", "bad-rollout", "crash-loop", "restart-storm", "api-outage"];
    for name in tour.into_iter().chain(incidents) {
        assert!(text.contains(name), "{text}");
    }
}

/// Plays a scenario about replicas, and gives what it printed and its report.
fn played(scenario: &str) -> (String, Value) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.json");
    let arguments = ["demo", "--scenario", scenario, "--json"];
    let output = falconer().args(arguments).arg(&path).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&path);
    assert_eq!((&report["scenario"], &report["passed"]), (&scenario.into(), &true.into()));
    assert!(text.contains(&format!("scenario {scenario} passed")), "{text}");
    (text, report)
}

#[test]
fn a_surge_is_borne_by_three_rules_side_by_side() {
    let (text, report) = played("surge");
    for rule in ["step", "target", "plain_rule"] {
        let rule = &report["rules"][rule];
        assert!(rule["changes"].is_u64() && rule["above_target_secs"].is_u64(), "{report}");
    }
    let changes = |rule: &str| report["rules"][rule]["changes"].as_u64();
    assert!(changes("target") < changes("plain_rule"), "{text}");
}

#[test]
fn a_removal_that_the_data_forbids_is_refused_and_the_plain_rule_shows_why() {
    let (text, report) = played("scale-in-unsafe");
    assert_eq!(report["falconer"]["replicas"], 4, "{report}");
    assert_eq!(report["falconer"]["failed_queries"], 0, "{report}");
    assert!(report["plain_rule"]["out_of_memory"].as_u64() > Some(0), "{report}");
    assert!(text.contains("it must stay below 80%"), "{text}");
}

#[test]
fn query_nodes_that_are_emptied_first_cost_no_query() {
    let (text, report) = played("drain");
    assert_eq!(report["falconer"]["replicas"], 2, "{report}");
    assert_eq!(report["falconer"]["failed_queries"], 0, "{text}");
    assert!(report["falconer"]["queries"].as_u64() > Some(100), "{report}");
    assert!(report["plain_rule"]["failed_queries"].as_u64() > Some(0), "{report}");
}

//! The real binary with too few descriptors: what it cannot probe for that is its own fault.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

/// The test's own runtime has nothing to do with it: the server needs its threads and nothing else.
fn silent_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("an address").port();
    // Ends with the test's process; what it has accepted stays open and gets no answer.
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    port
}

fn configuration(port: u16, components: usize) -> String {
    let names: Vec<String> = (0..components).map(|n| format!("\"target{n}\"")).collect();
    let mut text = format!(
        "[clusters.a]\nplatform = \"process\"\nmilvus = \"http://127.0.0.1:{port}\"\n\
         depends_on = [{}]\n[clusters.a.processes.standalone]\nstart = [\"true\"]\n\
         health = \"http://127.0.0.1:{port}/healthz\"\n[probers]\ntimeout = \"3s\"\n",
        names.join(", ")
    );
    for (number, name) in names.iter().enumerate() {
        // A name makes the resolver need descriptors, too.
        let host = if number % 2 == 0 { "127.0.0.1" } else { "localhost" };
        let _ =
            write!(text, "[probers.{name}]\nkind = \"http\"\nurl = \"http://{host}:{port}/\"\n");
    }
    text
}

/// Runs falconer in a process that a shell has given these limits.
fn falconer(limits: &str, arguments: &[&str], configuration: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("actors.toml");
    std::fs::write(&file, configuration).expect("written");
    Command::new("sh")
        .args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_falconer"))
        .args(arguments)
        .arg("--config")
        .arg(&file)
        .output()
        .expect("a shell")
}

fn standard_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_cannot_be_probed_for_want_of_descriptors_is_falconers_own_fault() {
    const COMPONENTS: usize = 120;
    let text = configuration(silent_server(), COMPONENTS);
    let output = falconer("ulimit -n 48", &["probe", "--json"], &text);
    let errors = standard_error(&output);
    let report: Value = serde_json::from_slice(&output.stdout).expect(&errors);
    let components = report["components"].as_array().expect("components");
    let targets: Vec<&Value> = components
        .iter()
        .filter(|one| one["component"].as_str().is_some_and(|name| name.starts_with("target")))
        .collect();
    assert_eq!(targets.len(), COMPONENTS);
    let of_kind = |kind: &str| targets.iter().filter(|one| one["reason_kind"] == kind).count();
    let (silent, own) = (of_kind("timeout"), of_kind("own_limit"));
    assert!(silent > 0 && own > 40, "{silent} time-outs, {own} own: {targets:?}");
    assert_eq!(silent + own, COMPONENTS, "nothing else is said of anybody: {targets:?}");
    let words = targets.iter().find(|one| one["reason_kind"] == "own_limit").expect("one");
    let words = words["reason"].as_str().expect("a text");
    assert!(words.contains("falconer's own limit"), "{words}");
    assert!(errors.contains("the hard limit of open files is 48"), "{errors}");
}

#[test]
fn a_soft_limit_is_raised_and_a_hard_limit_that_is_too_low_is_told() {
    let text = configuration(silent_server(), 120);
    let low = "ulimit -S -n 48";
    let output = falconer(low, &["check"], &text);
    assert!(output.status.success(), "{output:?}");
    assert!(!standard_error(&output).contains("hard limit"), "only the soft one is low");
    let output = falconer("ulimit -n 100", &["check"], &text);
    assert!(output.status.success(), "{output:?}");
    let errors = standard_error(&output);
    assert!(errors.contains("the hard limit of open files is 100"), "{errors}");
    let output = falconer(low, &["probe", "--json"], &text);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("timeout") && !report.contains("own_limit"), "{report}");
}

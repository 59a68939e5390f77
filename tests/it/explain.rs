//! `falconer explain` and `falconer resume` against a real falconer: what they say, from where, and to
//! whom they say no.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::journal::{UNSHARE, may_mount};
use crate::running::{Falconer, Targets, free_address};

const TOKEN: &str = "s3cret";

/// Two sick processes among five. A restart helps neither, and the cluster's budget is one action: the
/// first is restarted, then recovery stops.
fn configuration(targets: &Targets) -> String {
    let mut text =
        String::from("[clusters.a]\nplatform = \"process\"\nmilvus = \"http://127.0.0.1:1\"\n");
    let nobody = "http://127.0.0.1:1/healthz".to_owned();
    for name in ["s1", "s2", "w1", "w2", "w3"] {
        let health = if name.starts_with('s') { &nobody } else { &targets.url(name) };
        let _ = write!(
            text,
            "[clusters.a.processes.{name}]\nrestart = [\"true\"]\nhealth = \"{health}\"\n"
        );
    }
    text + "[supervisor]\nstartup_grace = \"0s\"\n[probers]\ninterval = \"100ms\"\njitter = 0.0\n\
            [alerter]\ngroup_wait = \"0s\"\n[recorder]\npath = \"falconer.db\"\n[recoverer]\n\
            ladder = [\"rollout_restart\", \"escalate\"]\ncooldown = \"0s\"\nverify_timeout = \"500ms\"\n\
            budget = { actions = 1 }\ncluster_budget = { actions = 1 }\n"
}

/// One in which recovery has stopped.
fn stopped(environment: &[(&str, &str)]) -> (Targets, Falconer) {
    let targets = Targets::start();
    let falconer = Falconer::start(&configuration(&targets), environment);
    falconer.until("recovery is stopped", || !breakers(&falconer).is_empty());
    (targets, falconer)
}

fn breakers(falconer: &Falconer) -> Vec<Value> {
    let answer = falconer.json("/api/v1/recovery/breakers");
    answer["breakers"].as_array().expect("a list").clone()
}

fn url(falconer: &Falconer) -> String {
    format!("http://{}", falconer.address())
}

/// Runs the command line in the folder of `falconer`, without its environment.
fn ask(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    command.args(arguments).current_dir(folder).env("USER", "kim").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = ask(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = ask(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn a_running_falconer_and_its_journal_explain_the_same() {
    let (_targets, falconer) = stopped(&[]);
    let folder = falconer.process().1.to_path_buf();
    let live = ["explain", "a/s1", "--url", &url(&falconer), "--json", "--last", "100"];
    let of = |arguments: &[&str]| -> Value {
        serde_json::from_str(&answer(&folder, arguments)).expect("JSON")
    };
    let running = of(&live);
    let decisions = running["decisions"].as_array().expect("a list");
    assert!(!decisions.is_empty() && !decisions[0]["guards"].as_array().unwrap().is_empty());
    assert_eq!(running["state"]["state"], json!("unhealthy"));

    let journal = ["explain", "s1", "--journal", "falconer.db", "--json", "--last", "100"];
    let beside = of(&journal);
    falconer.signal(Signal::SIGKILL);
    falconer.until("it is dead", || TcpListener::bind(falconer.address()).is_ok());
    let after = of(&journal);
    for read in [&beside, &after] {
        // It went on deciding meanwhile.
        let read_decisions = read["decisions"].as_array().expect("a list");
        assert!(read_decisions.ends_with(decisions), "{read:#}\n{running:#}");
        assert_eq!(read["state"]["state"], running["state"]["state"]);
    }
    let keys = |of: &Value| -> Vec<Value> {
        of["actions"].as_array().unwrap().iter().map(|one| one["key"].clone()).collect()
    };
    assert!(keys(&after).ends_with(&keys(&running)));
    let words = refusal(&folder, &live[..4]);
    assert!(
        words.contains("no falconer answers at") && words.contains("--journal falconer.db"),
        "{words}"
    );
}

#[test]
fn people_are_told_what_was_done_and_what_would_have_to_change() {
    let (_targets, falconer) = stopped(&[]);
    let folder = falconer.process().1.to_path_buf();
    let url = url(&falconer);
    // Which of the two was quicker is not known.
    let acted = breakers(&falconer)[0]["actions"][0]["component"].as_str().unwrap().to_owned();
    let other = if acted == "s1" { "s2" } else { "s1" };
    let words = answer(&folder, &["explain", &acted, "--url", &url, "--last", "5"]);
    for expected in [
        format!("a/{acted} is unhealthy since "),
        "! Recovery of a is stopped since ".to_owned(),
        "GUARD".to_owned(),
        "rollout_restart".to_owned(),
        "    begun     ".to_owned(),
        "    evidence  probe of a/".to_owned(),
    ] {
        assert!(words.contains(&expected), "{expected:?} is not in\n{words}");
    }
    let mut words = String::new();
    falconer.until("the breaker is what objects", || {
        words = answer(&folder, &["explain", other, "--url", &url, "--last", "1"]);
        words.contains("FOR FALCONER TO ACT\n  refused by breaker: ")
    });
    assert!(words.contains("\nNOW\n") && words.contains("falconer resume"), "{words}");

    let unknown = refusal(&folder, &["explain", "s11", "--url", &url]);
    assert!(unknown.contains("no component \"s11\"; there is a/s1, a/s2"), "{unknown}");
    let unknown = refusal(&folder, &["explain", "a/s11", "--url", &url]);
    assert!(unknown.contains("no component \"a/s11\"; there is a/s1, "), "{unknown}");
    let missing = refusal(&folder, &["explain", "s1", "--journal", "nowhere.db"]);
    assert!(missing.contains("there is no journal nowhere.db"), "{missing}");
    assert_eq!(falconer.get("/api/v1/explain/a/nobody").0, 404);
    assert_eq!(falconer.get("/api/v1/explain/a/s1?last=x").0, 400);

    let page = falconer.get("/").1;
    assert!(page.contains("class=\"note alarm\"") && page.contains("falconer resume a"), "{page}");
    assert!(page.contains("guard: breaker"), "{page}");
    let status = falconer.json("/api/v1/status");
    assert!(status["recoverer"]["breakers"]["a"]["why"].is_string());
}

#[test]
fn recovery_goes_on_for_whoever_has_the_token_and_for_nobody_else() {
    let (_targets, falconer) = stopped(&[("FALCONER__SERVER__ADMIN_TOKEN", TOKEN)]);
    let folder = falconer.process().1.to_path_buf();
    let url = url(&falconer);
    fs::write(folder.join("right"), TOKEN).unwrap();
    fs::write(folder.join("wrong"), "guess").unwrap();

    let shown = answer(&folder, &["resume", "--show", "--url", &url]);
    assert!(shown.contains("recovery of a is stopped since ") && shown.contains("rollout_restart"));
    let words = refusal(&folder, &["resume", "--url", &url]);
    assert!(words.contains("needs the admin token"), "{words}");
    let words = refusal(&folder, &["resume", "--url", &url, "--token-file", "wrong"]);
    assert!(words.contains("the token in wrong is not the running falconer's"), "{words}");
    assert!(!words.contains("guess") && !words.contains(TOKEN), "{words}");
    let words = refusal(&folder, &["resume", "b", "--url", &url, "--token-file", "right"]);
    assert!(words.contains("no cluster b; there is a"), "{words}");
    assert_eq!(breakers(&falconer).len(), 1);

    let done = answer(&folder, &["resume", "a", "--url", &url, "--token-file", "right"]);
    assert!(done.starts_with("recovery of a is stopped since "), "{done}");
    assert!(done.ends_with("recovery of a goes on\n"), "{done}");
    falconer.until("it is in the log", || {
        !falconer.logged(&["recovery of a cluster goes on", "falconer resume by kim"]).is_empty()
    });
}

#[test]
fn where_nothing_is_stopped_or_nothing_may_be_changed_that_is_said() {
    let targets = Targets::start();
    let quiet = configuration(&targets).replace("[recoverer]\n", "[recoverer]\nenabled = false\n");
    let falconer = Falconer::start(&quiet, &[("FALCONER__SERVER__ADMIN_TOKEN", TOKEN)]);
    let folder = falconer.process().1.to_path_buf();
    fs::write(folder.join("token"), TOKEN).unwrap();
    let arguments = ["resume", "a", "--url", &url(&falconer), "--token-file", "token"];
    let words = refusal(&folder, &arguments);
    assert!(words.contains("nothing to resume: recovery of a is not stopped"), "{words}");
    drop(falconer);

    let falconer = Falconer::start(&quiet, &[]);
    let folder = falconer.process().1.to_path_buf();
    fs::write(folder.join("token"), TOKEN).unwrap();
    let arguments = ["resume", "--url", &url(&falconer), "--token-file", "token"];
    let words = refusal(&folder, &arguments);
    assert!(words.contains("read-only") && words.contains("admin_token_file"), "{words}");
}

#[test]
fn a_journal_on_a_read_only_disk_is_read_all_the_same() {
    if !may_mount() {
        return;
    }
    let (_targets, mut falconer) = stopped(&[]);
    falconer.signal(Signal::SIGTERM);
    falconer.wait();
    let folder = falconer.process().1.to_path_buf();
    fs::create_dir(folder.join("disk")).unwrap();
    let script = "mount -t tmpfs x disk && cp falconer.db disk/ && mount -o remount,ro disk && \
                  exec \"$0\" explain s1 --journal disk/falconer.db";
    let falconer = env!("CARGO_BIN_EXE_falconer");
    let mut command = Command::new("unshare");
    command.args(UNSHARE).args(["sh", "-c", script, falconer]).current_dir(folder);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("a/s1 is unhealthy since "));
}

/// A server that answers every request with `head`, then with this piece until the client has
/// enough.
fn endless(head: &'static str, piece: Vec<u8>) -> SocketAddr {
    let address = free_address();
    let listener = TcpListener::bind(address).expect("a listener");
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&piece).is_ok() {}
        }
    });
    address
}

#[test]
fn a_server_that_is_no_falconer_gets_no_memory_and_a_clear_word() {
    let folder = tempfile::tempdir().unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let gigabytes = format!("http://{}", endless(head, vec![b' '; 1 << 16]));
    let words = refusal(folder.path(), &["explain", "s1", "--url", &gigabytes]);
    assert!(words.contains("is longer than"), "{words}");
    let garbage = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<p>\x1b[31m!";
    let garbage = format!("http://{}", endless(garbage, Vec::new()));
    let words = refusal(folder.path(), &["explain", "s1", "--url", &garbage]);
    assert!(words.contains("is no falconer of this version") && !words.contains('\x1b'), "{words}");
    let words = refusal(folder.path(), &["resume", "--show", "--url", "http://127.0.0.1:1"]);
    assert!(words.contains("no falconer answers at http://127.0.0.1:1"), "{words}");
}

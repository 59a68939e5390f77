//! `falconer run` whose journal lies on a disk that is full, or read-only: a small file system that
//! the process mounts for itself, in a namespace of its own, so that nothing is left of it.
//!
//! Where the system allows no such namespaces, these tests say so and do nothing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use falconer::effects::journal::read_file;
use falconer::model::{JournalEntry, JournalKind, JournalQuery};
use serde_json::Value;

use crate::running::{Falconer, cluster, free_address};

/// A cluster that fails, with alerts in the log, and a journal on the small disk.
fn configuration(journal: &str) -> String {
    let cluster = cluster("a", "http://127.0.0.1:1/healthz", "[\"true\"]");
    format!(
        "{cluster}[supervisor]\nstartup_grace = \"0s\"\n[probers]\ninterval = \"100ms\"\n\
         [alerter]\ngroup_wait = \"0s\"\n[recorder]\npath = \"{journal}\"\n"
    )
}

/// As root of a namespace of its own.
pub const UNSHARE: [&str; 3] = ["--map-root-user", "--mount", "--"];

pub fn may_mount() -> bool {
    let tried =
        Command::new("unshare").args(UNSHARE).args(["mount", "-t", "tmpfs", "x", "/mnt"]).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("skipped: this system allows no file system in a namespace of one's own");
    }
    may
}

/// Starts it after `prepare`, a script that finds a disk of `size` mounted at `disk`.
fn start(size: &str, prepare: &str) -> Falconer {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), free_address());
    fs::create_dir(folder.path().join("disk")).expect("a folder");
    let text = format!("{}[server]\nlisten = \"{server}\"\n", configuration("disk/falconer.db"));
    fs::write(folder.path().join("actors.toml"), text).expect("written");
    let script =
        format!("mount -t tmpfs -o size={size} tmpfs disk && {prepare} && exec \"$0\" run");
    let falconer = env!("CARGO_BIN_EXE_falconer");
    let mut command = Command::new("unshare");
    command.args(UNSHARE).args(["sh", "-c", &script, falconer]);
    Falconer::start_by(&mut command, folder, server, &[])
}

/// The small disk, as it is seen from here.
fn disk(falconer: &Falconer) -> PathBuf {
    let (process, folder) = falconer.process();
    PathBuf::from(format!("/proc/{process}/root{}/disk", folder.display()))
}

fn journal(falconer: &Falconer) -> Value {
    falconer.json("/api/v1/status")["journal"].clone()
}

fn why(falconer: &Falconer) -> String {
    journal(falconer)["trouble"]["why"].as_str().unwrap_or_default().to_owned()
}

fn alerts_about_the_journal(falconer: &Falconer) -> usize {
    let status = falconer.json("/api/v1/status");
    let alerts = status["alerter"]["alerts"].as_array().cloned().unwrap_or_default();
    alerts.iter().filter(|alert| alert.to_string().contains("falconer/journal")).count()
}

/// Everything is probed and shown all the same, and people know of the journal.
fn goes_on_without_its_journal(falconer: &Falconer) {
    falconer.until("people hear of it", || {
        !falconer.logged(&["alert delivered", "falconer/journal"]).is_empty()
    });
    falconer.until("it is shown", || alerts_about_the_journal(falconer) == 1);
    let metrics = falconer.get("/metrics").1;
    assert!(metrics.contains("falconer_journal_degraded 1"), "{metrics}");
    let probed = || {
        falconer.json("/api/v1/status")["clusters"]["a"]["components"]["milvus"]["probed_at"]
            .clone()
    };
    let before = probed();
    falconer.until("it is probed again", || probed() != before);
    assert_eq!(falconer.get("/livez").0, 200);
}

/// What memory kept is in the file, and the alert is over.
fn is_well_again(falconer: &Falconer) {
    falconer.until("it is written again", || journal(falconer)["trouble"].is_null());
    falconer.until("the alert is over", || {
        !falconer.logged(&["alert resolved", "falconer/journal"]).is_empty()
    });
    assert_eq!(journal(falconer)["dropped"], 0);
    let states = JournalQuery {
        component: None,
        kinds: vec![JournalKind::Alert, JournalKind::State],
        limit: 99,
    };
    falconer.until("all of it is in the file", || {
        let found = read_copy(falconer, &states);
        let of = |name: &str| {
            found.iter().filter(|entry| entry.component.as_deref() == Some(name)).count()
        };
        // Both ends of its own alert, and what happened to the service from the start on.
        of("journal") >= 2 && of("milvus") >= 1
    });
}

/// What is in the file. A copy is read: the way to the disk leads through another namespace, where
/// SQLite does not find it.
fn read_copy(falconer: &Falconer, query: &JournalQuery) -> Vec<JournalEntry> {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["falconer.db", "falconer.db-wal"] {
        // There may be no log.
        let _ = fs::copy(disk(falconer).join(name), folder.path().join(name));
    }
    read_file(&folder.path().join("falconer.db"), query).unwrap_or_default()
}

#[test]
fn a_full_disk_costs_nothing_but_room_in_memory() {
    if !may_mount() {
        return;
    }
    let falconer = start("16m", "true");
    falconer.until("it is open", || journal(&falconer)["written"].as_u64() > Some(0));
    let filler = disk(&falconer).join("filler");
    // Until nothing fits any more.
    assert!(fs::write(&filler, vec![0_u8; 32 << 20]).is_err());
    falconer.until("it is full", || why(&falconer).contains("full"));
    goes_on_without_its_journal(&falconer);
    fs::remove_file(filler).expect("removed");
    is_well_again(&falconer);
}

#[test]
fn a_read_only_file_is_told_and_written_when_it_may_be() {
    if !may_mount() {
        return;
    }
    let falconer = start("16m", "mount -o remount,ro disk");
    falconer.until("it is refused", || !why(&falconer).is_empty());
    assert!(why(&falconer).contains("disk is not writable"), "{}", why(&falconer));
    goes_on_without_its_journal(&falconer);
    let (process, folder) = falconer.process();
    let remounted = Command::new("nsenter")
        .args(["--target", &process.to_string(), "--user", "--mount", "--preserve-credentials"])
        .args(["mount", "-o", "remount,rw"])
        .arg(folder.join("disk"))
        .status();
    assert!(remounted.is_ok_and(|status| status.success()));
    is_well_again(&falconer);
}

#[test]
fn what_was_written_is_there_after_a_kill_and_a_new_start_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("disk")).expect("a folder");
    let path = folder.path().join("disk/falconer.db");
    let probes = JournalQuery { component: None, kinds: vec![JournalKind::Probe], limit: 1_000 };
    let configuration = configuration(&path.display().to_string());
    let mut before = 0;
    for _ in 0..3 {
        let falconer = Falconer::start(&configuration, &[]);
        falconer.until("more is written", || {
            read_file(&path, &probes).map_or(0, |found| found.len()) > before + 5
        });
        // Killed, not stopped.
        drop(falconer);
        let found = read_file(&path, &probes).expect("it can be read").len();
        assert!(found > before, "{found} after {before}");
        before = found;
    }
}

/// The text of the alert about `component` of falconer itself, where it is open.
fn own_alert(falconer: &Falconer, component: &str) -> Option<String> {
    let status = falconer.json("/api/v1/status");
    let alerts = status["alerter"]["alerts"].as_array().cloned().unwrap_or_default();
    let mut all = alerts.iter().map(ToString::to_string);
    all.find(|alert| alert.contains(&format!("falconer/{component}@")))
}

#[test]
fn of_two_falconers_on_one_journal_the_second_says_whose_it_is_and_leaves_it_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("falconer.db");
    let configuration = configuration(&path.display().to_string());
    let first = Falconer::start(&configuration, &[]);
    first.until("it is open", || journal(&first)["written"].as_u64() > Some(0));
    let second = Falconer::start(&configuration, &[]);
    second.until("it is refused", || !why(&second).is_empty());
    let holder = format!("another falconer (pid {}) writes this journal", first.process().0);
    assert_eq!(why(&second), holder);
    second.until("people hear of it", || {
        own_alert(&second, "journal").is_some_and(|alert| alert.contains(&holder))
    });
    assert!(journal(&first)["trouble"].is_null());
    assert_eq!(journal(&second)["written"], 0);
    drop(first);
    second.until("it is the second one's now", || journal(&second)["trouble"].is_null());
    read_file(&path, &JournalQuery { component: None, kinds: Vec::new(), limit: 9 })
        .expect("whole");
}

#[test]
fn a_journal_that_is_damaged_at_the_start_is_told_and_kept_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("falconer.db");
    fs::write(&path, "this was a database once, and long enough\n".repeat(500)).expect("written");
    let before = fs::read(&path).expect("read");
    let falconer = Falconer::start(&configuration(&path.display().to_string()), &[]);
    falconer.until("it is told", || own_alert(&falconer, "journal-damage").is_some());
    let aside = journal(&falconer)["moved_aside"].clone();
    assert_eq!(aside["forgot"], true, "{aside}");
    let aside = aside["path"].as_str().expect("a path").to_owned();
    assert_eq!(fs::read(&aside).expect("kept"), before);
    let alert = own_alert(&falconer, "journal-damage").expect("it is open");
    assert!(alert.contains("the journal was damaged"), "{alert}");
    falconer.until("it goes on", || journal(&falconer)["written"].as_u64() > Some(0));
}

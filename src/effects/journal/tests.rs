//! The journal on real files, in real time.

mod retention;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::effects::{Journal, StateStore};
use crate::metrics::Metrics;
use crate::model::journal::{
    ActionPhase, ActionRecord, AlertChange, AlertRecord, BreakerChange, DecisionRecord,
    DecisionVerdict, DeliveryOutcome, DeliveryRecord, EvidenceRecord, EvidenceSource, GuardRecord,
    GuardWord, LeadershipChange, ReloadNote,
};
use crate::model::{
    AlertStatus, ComponentId, HealthState, IncidentId, JournalEntry, JournalKind, JournalQuery,
    JournalRecord, Outcome, Reason, ReasonKind, ReloadOutcome, ReloadTrigger, Severity, Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const SOON: Duration = Duration::from_secs(20);
const LIMITS: JournalLimits =
    JournalLimits { retention: Duration::from_hours(24), max_bytes: 64 << 20 };

fn open(path: &Path) -> SqliteJournal {
    open_with(path, LIMITS)
}

fn open_with(path: &Path, limits: JournalLimits) -> SqliteJournal {
    let settings = SqliteSettings { path: path.to_path_buf(), limits };
    SqliteJournal::open(settings, Clock::starting_at(START), Metrics::default()).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn proxy() -> ComponentId {
    ComponentId::new("milvus-ha", "proxy")
}

fn report(at: u64, outcome: Outcome) -> JournalEntry {
    let record = JournalRecord::Probe { outcome, latency: Duration::from_micros(1_234) };
    JournalEntry::of(Timestamp::from_millis(at), &proxy(), record)
}

fn breaker(at: u64) -> JournalEntry {
    let change = BreakerChange::Tripped;
    let record = JournalRecord::Breaker { change, words: "11 actions of 10 in 1h".into() };
    JournalEntry::of_cluster(Timestamp::from_millis(at), &"milvus-ha".into(), record)
}

fn timeout() -> Reason {
    Reason::new(ReasonKind::Timeout, "no answer within 5 s")
}

fn one_of_each() -> Vec<JournalEntry> {
    let guard = |guard: &'static str, verdict, words: &str| GuardRecord {
        guard: guard.into(),
        verdict,
        words: words.into(),
    };
    let records = vec![
        JournalRecord::Probe {
            outcome: Outcome::Failed { reason: timeout() },
            latency: Duration::from_secs(5),
        },
        JournalRecord::State {
            from: HealthState::Healthy,
            to: HealthState::Unhealthy,
            reason: Some(timeout()),
        },
        JournalRecord::Decision(Box::new(DecisionRecord {
            verdict: DecisionVerdict::Wait,
            step: Some("rollout_restart".into()),
            summary: "not yet: cooldown".into(),
            guards: vec![
                guard("failure_threshold", GuardWord::Pass, "5 of 5 failed"),
                guard("cooldown", GuardWord::Wait, "12 s of 300 s"),
            ],
        })),
        JournalRecord::Action(Box::new(ActionRecord {
            key: "milvus-ha/proxy@x/rollout_restart".into(),
            step: "rollout_restart".into(),
            target: "deployment/milvus-proxy".into(),
            change: "PATCH deployments/milvus-proxy {}".into(),
            phase: ActionPhase::DryRun,
            words: "would restart".into(),
        })),
        JournalRecord::Evidence(Box::new(EvidenceRecord::new(
            "milvus-ha/proxy@x/delete_pod",
            EvidenceSource::Log,
            "pod/milvus-proxy-1",
            "panic: 'it''s' over\nbye",
        ))),
        JournalRecord::Alert(Box::new(AlertRecord {
            change: AlertChange::Raised,
            severity: Some(Severity::Critical),
            title: "proxy is unhealthy".into(),
            words: "no answer within 5 s".into(),
        })),
        JournalRecord::Delivery(Box::new(DeliveryRecord {
            receiver: "webhook.oncall".into(),
            status: AlertStatus::Firing,
            message: "milvus-ha/proxy@x/firing/1".into(),
            attempt: 3,
            outcome: DeliveryOutcome::Failed,
            error: Some("503".into()),
        })),
        JournalRecord::Leadership { change: LeadershipChange::Gained, words: "pod-1".into() },
        JournalRecord::Breaker { change: BreakerChange::Reset, words: "by a person".into() },
        JournalRecord::Reload(Box::new(ReloadNote {
            trigger: ReloadTrigger::Api,
            outcome: ReloadOutcome::Applied,
            words: "1 changed".into(),
        })),
        JournalRecord::Scaling { decision: "started".into(), words: "2 to 3".into() },
    ];
    let incident = IncidentId::new(&proxy(), START);
    let entry = |(at, record): (u64, JournalRecord)| {
        let entry = JournalEntry::of(START + Duration::from_millis(at), &proxy(), record);
        // A report belongs to no incident.
        if entry.record.kind().may_be_lost() { entry } else { entry.within(&incident) }
    };
    (0..).zip(records).map(entry).collect()
}

fn every_kind(limit: usize) -> JournalQuery {
    JournalQuery { component: None, kinds: JournalKind::ALL.to_vec(), limit }
}

/// Waits until the health is as wanted.
async fn until(journal: &dyn Journal, wanted: impl Fn(&JournalHealth) -> bool) -> JournalHealth {
    let looking = async {
        loop {
            let health = journal.health();
            if wanted(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(SOON, looking).await;
    found.unwrap_or_else(|_| panic!("still {:?}", journal.health()))
}

#[tokio::test]
async fn every_kind_of_entry_reads_back_as_it_was_recorded() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    let mut entries = one_of_each();
    assert_eq!(entries.len(), JournalKind::ALL.len());
    for entry in &entries {
        journal.record(entry.clone());
    }
    journal.flush(SOON).await.unwrap();
    entries.reverse();
    assert_eq!(read_file(&path, &every_kind(100)).unwrap(), entries);
    assert_eq!(journal.recent(&every_kind(3)).await.unwrap(), entries[..3]);
    let decisions = JournalQuery::of(&proxy(), JournalKind::Decision, 5);
    assert_eq!(journal.recent(&decisions).await.unwrap().len(), 1);
    let others = JournalQuery::of(&ComponentId::new("milvus-ha", "x"), JournalKind::Decision, 5);
    assert_eq!(journal.recent(&others).await.unwrap(), []);
    assert!(journal.close(SOON).await);
    assert!(!path.with_extension("db-wal").exists());
    assert_eq!(read_file(&path, &every_kind(100)).unwrap(), entries);
}

#[tokio::test]
async fn the_views_show_people_text_with_time() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    for entry in one_of_each() {
        journal.record(entry);
    }
    journal.save(&[("breaker/a".to_owned(), Some("{}".to_owned()))].into()).await.unwrap();
    journal.flush(SOON).await.unwrap();
    let file = Connection::open(&path).unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'view'";
    let mut names = file.prepare(names).unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap();
    for name in names.collect::<Result<Vec<String>, _>>().unwrap() {
        let count = format!("SELECT count(*) FROM {name}");
        let count: i64 = file.query_row(&count, [], |row| row.get(0)).unwrap();
        assert!(count > 0, "{name} shows nothing");
    }
    let report: (String, String, f64, String) = file
        .query_row("SELECT time, outcome, latency_ms, reason FROM reports_readable", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(report.0, "2026-01-01T00:00:00.000Z");
    assert_eq!((report.1.as_str(), report.2), ("failed", 5_000.0));
    assert_eq!(report.3, "no answer within 5 s");
    let guards: String =
        file.query_row("SELECT guards FROM decisions_readable", [], |row| row.get(0)).unwrap();
    assert_eq!(guards, "failure_threshold: pass (5 of 5 failed)\ncooldown: wait (12 s of 300 s)");
}

#[tokio::test]
async fn the_state_is_saved_whole_and_survives() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let change = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    let journal = open(&path);
    assert_eq!(journal.load().await.unwrap(), [].into());
    let first = [change("a", Some("1")), change("b", Some("2"))].into();
    journal.save(&first).await.unwrap();
    journal.save(&[change("a", None), change("c", Some("3"))].into()).await.unwrap();
    // What lies on the disk by now, as when the process is killed.
    let killed = self::folder();
    for name in ["falconer.db", "falconer.db-wal"] {
        std::fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
    }
    let other = open(&killed.path().join("falconer.db"));
    let expected = [("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())];
    assert_eq!(other.load().await.unwrap(), expected.clone().into());
    drop(other);
    assert!(journal.close(SOON).await);
    assert_eq!(open(&path).load().await.unwrap(), expected.into());
}

#[tokio::test]
async fn a_journal_that_is_dropped_writes_what_waits() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    journal.record(breaker(1));
    drop(journal);
    let looking = async {
        while read_file(&path, &every_kind(9)).map_or(0, |found| found.len()) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, looking).await.unwrap();
}

#[tokio::test]
async fn nothing_is_lost_however_many_write_at_once() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = Arc::new(open(&path));
    let writers = (0..8).map(|writer: u64| {
        let journal = Arc::clone(&journal);
        tokio::task::spawn_blocking(move || {
            for index in 0..2_000 {
                journal.record(report(writer * 10_000 + index, Outcome::Healthy));
                if index % 100 == 0 {
                    journal.record(breaker(index));
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    journal.flush(SOON).await.unwrap();
    let health = journal.health();
    assert_eq!((health.written, health.dropped, health.in_memory), (16_160, 0, 0));
    let file = Connection::open(&path).unwrap();
    let rows = "SELECT (SELECT count(*) FROM reports) + (SELECT count(*) FROM entries)";
    assert_eq!(file.query_row(rows, [], |row| row.get::<_, i64>(0)).unwrap(), 16_160);
}

#[tokio::test]
async fn memory_keeps_entries_and_state_where_there_is_no_file() {
    let journal = MemoryJournal::default();
    let mut entries = one_of_each();
    for entry in &entries {
        journal.record(entry.clone());
    }
    journal.flush(Duration::ZERO).await.unwrap();
    entries.reverse();
    assert_eq!(journal.recent(&every_kind(100)).await.unwrap(), entries);
    journal.save(&[("a".to_owned(), Some("1".to_owned()))].into()).await.unwrap();
    assert_eq!(journal.load().await.unwrap().len(), 1);
    assert_eq!(journal.health().trouble, None);
}

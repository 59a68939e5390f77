//! What is let go, and that the file becomes smaller.

use super::*;

fn count(path: &Path, table: &str) -> i64 {
    let file = Connection::open(path).unwrap();
    file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Waits until the table has so many rows.
async fn until_count(path: &Path, table: &str, wanted: impl Fn(i64) -> bool) {
    let looking = async {
        while !wanted(count(path, table)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(SOON, looking).await;
    assert!(found.is_ok(), "still {} rows in {table}", count(path, table));
}

#[tokio::test]
async fn what_is_too_old_goes_and_the_file_shrinks() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    for index in 0..30_000 {
        let reason = Outcome::failed(ReasonKind::Timeout, format!("no answer, attempt {index}"));
        journal.record(report(1_000 + index, reason));
    }
    for (index, decision) in (0..500).zip(one_of_each().into_iter().cycle().skip(2).step_by(11)) {
        journal.record(JournalEntry { at: Timestamp::from_millis(index), ..decision });
    }
    journal.record(report(START.as_millis(), Outcome::failed(ReasonKind::Timeout, "kept")));
    journal.record(breaker(START.as_millis()));
    journal.flush(SOON).await.unwrap();
    assert!(count(&path, "guards") == 1_000);
    let before = journal.health().bytes;

    journal.retain(START + Duration::from_hours(1));
    until_count(&path, "reports", |count| count == 1).await;
    until_count(&path, "entries", |count| count == 1).await;
    until_count(&path, "reasons", |count| count == 1).await;
    assert_eq!(count(&path, "guards"), 0);
    until(&journal, |health| health.bytes < before / 10).await;
    // What comes afterwards finds its reason again.
    journal.record(report(START.as_millis(), Outcome::failed(ReasonKind::Timeout, "kept")));
    let again = "no answer, attempt 1";
    journal.record(report(START.as_millis(), Outcome::failed(ReasonKind::Timeout, again)));
    journal.flush(SOON).await.unwrap();
    assert_eq!((count(&path, "reports_readable"), count(&path, "reasons")), (3, 2));
}

#[tokio::test]
async fn a_file_that_is_too_large_loses_reports_first_and_decisions_last() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open_with(&path, JournalLimits { max_bytes: 1 << 20, ..LIMITS });
    journal.record(breaker(START.as_millis()));
    (0..20_000).for_each(|index| journal.record(report(index, Outcome::Healthy)));
    journal.flush(SOON).await.unwrap();
    let evidence = |index: u64| {
        let text = "x".repeat(30_000);
        let record = EvidenceRecord::new("key", EvidenceSource::Log, "pod/a", text);
        let at = Timestamp::from_millis(index);
        JournalEntry::of(at, &proxy(), JournalRecord::Evidence(Box::new(record)))
    };
    (0..100).for_each(|index| journal.record(evidence(index)));
    journal.flush(SOON).await.unwrap();
    until_count(&path, "reports", |count| count == 0).await;
    until(&journal, |health| health.bytes <= 1 << 20).await;
    let kinds = "entries WHERE kind = 'breaker'";
    assert_eq!(count(&path, kinds), 1);

    // It goes on, within its size, and does not spin where nothing more can go.
    journal.limit(JournalLimits { max_bytes: 1, ..LIMITS });
    journal.record(evidence(1));
    journal.flush(SOON).await.unwrap();
    until_count(&path, "entries", |count| count == 0).await;
    journal.record(breaker(1));
    journal.flush(SOON).await.unwrap();
    assert_eq!(count(&path, "entries"), 1);
}

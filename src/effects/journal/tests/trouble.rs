//! Files that cannot be used: nothing blocks, nothing is lost, nobody's file is deleted.

use std::fs;

use super::*;

fn names(folder: &TempDir) -> Vec<String> {
    let files = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_degraded(health: &JournalHealth) -> bool {
    health.trouble.is_some()
}

fn is_well(health: &JournalHealth) -> bool {
    health.trouble.is_none()
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_told_and_the_file_made_when_it_is_gone() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    fs::create_dir(&path).unwrap();
    let journal = open(&path);
    journal.record(breaker(1));
    let trouble = until(&journal, is_degraded).await.trouble.unwrap();
    assert!(trouble.why.contains("it is a folder"), "{}", trouble.why);
    let error = journal.flush(SOON).await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable { .. }), "{error}");
    // Memory answers meanwhile, and keeps the state that is to be saved.
    assert_eq!(journal.recent(&every_kind(9)).await.unwrap(), [breaker(1)]);
    let saved = journal.save(&[("a".to_owned(), Some("1".to_owned()))].into()).await;
    assert!(saved.unwrap_err().is_retryable());
    fs::remove_dir(&path).unwrap();
    until(&journal, is_well).await;
    assert_eq!(read_file(&path, &every_kind(9)).unwrap(), [breaker(1)]);
    assert_eq!(journal.load().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = folder();
    let journal = open(&folder.path().join("missing/falconer.db"));
    let trouble = until(&journal, is_degraded).await.trouble.unwrap();
    assert!(trouble.why.contains("there is no folder"), "{}", trouble.why);
    assert_eq!(names(&folder), [""; 0]);
    assert!(journal.close(SOON).await);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_the_state_written_anew() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    (0..2_000).for_each(|at| journal.record(report(at, Outcome::Healthy)));
    journal.save(&[("a".to_owned(), Some("1".to_owned()))].into()).await.unwrap();
    assert!(journal.close(SOON).await);
    let mut bytes = fs::read(&path).unwrap();
    // The first page stays, so that it opens.
    bytes[4_096..].fill(0xa5);
    fs::write(&path, &bytes).unwrap();

    let journal = open(&path);
    journal.record(breaker(1));
    journal.flush(SOON).await.unwrap();
    assert_eq!(read_file(&path, &every_kind(9)).unwrap(), [breaker(1)]);
    let aside: Vec<String> =
        names(&folder).into_iter().filter(|name| name.contains(".corrupt-")).collect();
    // The log is gone in order, with the connection that found the damage.
    let [aside] = &aside[..] else { panic!("{aside:?}") };
    assert!(aside.starts_with("falconer.db.corrupt-20260101T00000"), "{aside}");
    let moved = journal.health().moved_aside.unwrap();
    assert!(moved.path.ends_with(aside), "{moved:?}");
    assert!(moved.forgot, "nobody had read it before: {moved:?}");
    assert_eq!(fs::read(folder.path().join(aside)).unwrap().len(), bytes.len());
}

#[tokio::test]
async fn what_is_no_database_is_moved_aside_untouched() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    fs::write(&path, "dear diary, this is long enough to be looked at".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    let journal = open(&path);
    journal.record(breaker(1));
    journal.flush(SOON).await.unwrap();
    let aside = names(&folder).into_iter().find(|name| name.contains(".corrupt-")).unwrap();
    assert_eq!(fs::read(folder.path().join(aside)).unwrap(), before);
}

#[tokio::test]
async fn the_file_of_a_newer_falconer_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    assert!({
        let journal = open(&path);
        journal.record(breaker(1));
        journal.close(SOON).await
    });
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 77).unwrap();
    let before = fs::read(&path).unwrap();
    let journal = open(&path);
    let trouble = until(&journal, is_degraded).await.trouble.unwrap();
    assert!(trouble.why.contains("written by a newer falconer"), "{}", trouble.why);
    assert!(journal.close(SOON).await);
    assert_eq!(fs::read(&path).unwrap(), before);
    let read = read_file(&path, &every_kind(9)).unwrap_err();
    assert!(read.to_string().contains("version 77"), "{read}");
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_written_when_it_lets_go() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    journal.flush(SOON).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    journal.record(breaker(1));
    let recorded = std::thread::spawn({
        let entries = (0..1_000).map(|at| report(at, Outcome::Healthy)).collect::<Vec<_>>();
        let journal = Arc::new(journal);
        move || {
            for entry in entries {
                journal.record(entry);
            }
            journal
        }
    });
    // Whoever records does not wait for the lock.
    let journal = recorded.join().unwrap();
    let trouble = until(&*journal, is_degraded).await.trouble.unwrap();
    assert!(trouble.why.contains("locked"), "{}", trouble.why);
    other.execute_batch("COMMIT").unwrap();
    let health = until(&*journal, is_well).await;
    assert_eq!((health.written, health.dropped), (1_001, 0));
}

#[tokio::test]
async fn who_finds_another_falconer_at_the_file_says_so_and_touches_nothing_until_it_has_ended() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let first = open(&path);
    first.save(&[("a".to_owned(), Some("1".to_owned()))].into()).await.unwrap();
    let second = open(&path);
    second.record(breaker(7));
    let trouble = until(&second, is_degraded).await.trouble.unwrap();
    let own = std::process::id();
    assert_eq!(trouble.why, format!("another falconer (pid {own}) writes this journal"));
    let state = second.save(&[("a".to_owned(), Some("2".to_owned()))].into()).await;
    assert!(state.unwrap_err().is_retryable() && second.load().await.is_err());
    first.record(breaker(1));
    first.flush(SOON).await.unwrap();
    assert_eq!(read_file(&path, &every_kind(9)).unwrap(), [breaker(1)]);
    assert_eq!(first.load().await.unwrap(), [("a".to_owned(), "1".to_owned())].into());
    assert_eq!(first.health().trouble, None, "who was first is not disturbed");
    assert!(first.close(SOON).await);
    until(&second, is_well).await;
    second.flush(SOON).await.unwrap();
    assert_eq!(read_file(&path, &every_kind(9)).unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_that_is_deleted_is_made_anew_with_the_state() {
    let folder = folder();
    let path = folder.path().join("falconer.db");
    let journal = open(&path);
    journal.save(&[("a".to_owned(), Some("1".to_owned()))].into()).await.unwrap();
    for name in names(&folder) {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    journal.record(breaker(1));
    journal.flush(SOON).await.unwrap();
    assert_eq!(journal.health().trouble, None);
    assert_eq!(read_file(&path, &every_kind(9)).unwrap(), [breaker(1)]);
    assert!(journal.close(SOON).await);
    assert_eq!(open(&path).load().await.unwrap().len(), 1);
}

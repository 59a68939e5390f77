//! The recorder in virtual time, over a journal whose health is scripted.

use async_trait::async_trait;

use super::*;
use crate::actors::exit_guard::{self, Running};
use crate::actors::testing::{Recorder as Heard, in_virtual_time};
use crate::effects::{JournalError, MovedAside};
use crate::model::{JournalEntry, JournalQuery};

#[derive(Default)]
struct Scripted {
    health: Mutex<JournalHealth>,
    retained: Mutex<Vec<Timestamp>>,
}

impl Scripted {
    fn trouble(&self, since: Option<Timestamp>) {
        let trouble = since.map(|since| JournalTrouble { since, why: "disk full".into() });
        self.health.lock().unwrap().trouble = trouble;
    }
}

#[async_trait]
impl Journal for Scripted {
    fn record(&self, _: JournalEntry) {}

    async fn flush(&self, _: Duration) -> Result<(), JournalError> {
        Ok(())
    }

    fn health(&self) -> JournalHealth {
        self.health.lock().unwrap().clone()
    }

    async fn recent(&self, _: &JournalQuery) -> Result<Vec<JournalEntry>, JournalError> {
        Ok(Vec::new())
    }

    fn retain(&self, now: Timestamp) {
        self.retained.lock().unwrap().push(now);
    }
}

fn start(parts: &RecorderParts) -> Running<Recorder> {
    let parts = parts.clone();
    exit_guard::start(4, move |_| Recorder::new(parts), Box::new(|_| {}))
}

#[test]
fn people_hear_of_a_damaged_file_and_where_it_is() {
    in_virtual_time(async {
        let journal = Arc::new(Scripted::default());
        let parts = RecorderParts {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            alert: JournalAlert::default(),
            raise: Post::new(),
            resolve: Post::new(),
            board: StatusBoard::default(),
            clock: Clock::starting_at(Timestamp::from_millis(1_000_000)),
        };
        let raised = Heard::behind(&parts.raise);
        let resolved = Heard::behind(&parts.resolve);
        let (path, why) = ("/data/falconer.db.corrupt-1".to_owned(), "malformed".to_owned());
        let moved = MovedAside { path, at: parts.clock.now(), why, forgot: true };
        journal.health.lock().unwrap().moved_aside = Some(moved);
        let first = start(&parts);
        tokio::time::sleep(Duration::from_mins(5)).await;
        let told: Vec<RaiseAlert> = raised.lock().unwrap().clone();
        let [RaiseAlert(alert)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(alert.component.to_string(), "falconer/journal-damage");
        assert!(alert.details[0].contains("/data/falconer.db.corrupt-1"), "{alert:?}");
        assert!(alert.action.contains("begin anew"), "{alert:?}");
        first.abort.abort();
        let _second = start(&parts);
        tokio::time::sleep(Duration::from_hours(2)).await;
        let incidents = |all: &[RaiseAlert]| all.iter().map(|one| one.0.incident.clone()).collect();
        let incidents: std::collections::BTreeSet<IncidentId> = incidents(&raised.lock().unwrap());
        assert_eq!(incidents.len(), 1, "another incarnation tells the same");
        let ended: Vec<ResolveAlert> = resolved.lock().unwrap().clone();
        assert_eq!(ended.len(), 1, "{ended:?}");
    });
}

#[test]
fn people_hear_once_that_the_journal_cannot_be_written_and_once_that_it_can_again() {
    in_virtual_time(async {
        let journal = Arc::new(Scripted::default());
        let parts = RecorderParts {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            alert: JournalAlert::default(),
            raise: Post::new(),
            resolve: Post::new(),
            board: StatusBoard::default(),
            clock: Clock::starting_at(Timestamp::from_millis(1_000_000)),
        };
        let raised = Heard::behind(&parts.raise);
        let resolved = Heard::behind(&parts.resolve);
        let first = start(&parts);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(raised.lock().unwrap().len(), 0);

        journal.trouble(Some(parts.clock.now()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        // A new incarnation does not tell it again.
        first.abort.abort();
        let _second = start(&parts);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let alert = raised.lock().unwrap()[0].0.clone();
        assert_eq!(raised.lock().unwrap().len(), 1);
        assert_eq!(alert.component.to_string(), "falconer/journal");
        assert!(parts.board.actors().journal.trouble.is_some());
        assert_eq!(resolved.lock().unwrap().len(), 0);

        // For a moment it is well, and then not again.
        journal.trouble(None);
        tokio::time::sleep(Duration::from_secs(5)).await;
        journal.trouble(Some(parts.clock.now()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        journal.trouble(None);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!((raised.lock().unwrap().len(), resolved.lock().unwrap().len()), (1, 0));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let ended: Vec<IncidentId> = resolved
            .lock()
            .unwrap()
            .iter()
            .map(|one: &ResolveAlert| one.incident.clone())
            .collect();
        assert_eq!(ended, [alert.incident]);
        tokio::time::sleep(Duration::from_hours(3)).await;
        let retained = journal.retained.lock().unwrap().len();
        assert!((4..=5).contains(&retained), "{retained}");
    });
}

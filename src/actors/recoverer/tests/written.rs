//! What is written down, and what happens where it cannot be.

use async_trait::async_trait;

use super::*;
use crate::effects::journal::MemoryJournal;
use crate::effects::{Journal, JournalError, JournalHealth};
use crate::model::JournalEntry;
use crate::policy::recovery::Guard;

/// A journal whose disk never answers.
#[derive(Debug, Default)]
struct StuckJournal(MemoryJournal);

#[async_trait]
impl Journal for StuckJournal {
    fn record(&self, entry: JournalEntry) {
        self.0.record(entry);
    }

    async fn flush(&self, deadline: Duration) -> Result<(), JournalError> {
        sleep(deadline).await;
        Err(JournalError::Timeout { path: "journal.db".to_owned(), within: deadline })
    }

    fn health(&self) -> JournalHealth {
        self.0.health()
    }

    async fn recent(&self, query: &JournalQuery) -> Result<Vec<JournalEntry>, JournalError> {
        self.0.recent(query).await
    }

    fn retain(&self, now: Timestamp) {
        self.0.retain(now);
    }
}

#[test]
fn a_sick_cluster_does_not_wait_for_a_disk_that_hangs() {
    in_virtual_time(async {
        let mut bench = Bench::new();
        bench.around.journal = Arc::new(StuckJournal::default());
        bench.respawn().await;
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_millis(1_900)).await;
        assert_eq!(bench.restarts(), 0);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(bench.restarts(), 1);
        assert_eq!(bench.actions().await, [ActionPhase::Begun, ActionPhase::Accepted]);
    });
}

#[test]
fn a_decision_is_written_once_with_every_guard_and_stays_on_the_board_with_its_numbers() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_secs(10)).await;
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(10)).await;
        let again = sick("proxy", bench.now());
        for _ in 0..20 {
            bench.report(again.clone()).await;
            sleep(Duration::from_secs(5)).await;
        }
        let decisions: Vec<_> = bench
            .journal()
            .await
            .into_iter()
            .filter_map(|record| match record {
                JournalRecord::Decision(decision) => Some(decision),
                _ => None,
            })
            .collect();
        let verdicts: Vec<_> = decisions.iter().map(|one| one.verdict.as_str()).collect();
        // What comes back at once is left to a person, and stays with that person.
        assert_eq!(verdicts, ["act", "escalate", "refuse"]);
        assert_eq!(decisions[0].guards.len(), Guard::ALL.len());
        assert_eq!(decisions[0].step.as_deref(), Some("rollout_restart"));

        let assessments = bench.around.board.snapshot().recoverer.assessments.clone();
        let newest = assessments.get("milvus-ha/proxy").expect("the newest decision");
        assert_eq!((newest.decision, newest.kind), ("refuse", "left_to_person"));
        assert_eq!(newest.verdicts.len(), Guard::ALL.len());
        let cooldown = newest.verdicts.iter().find(|one| one.guard == "cooldown").expect("asked");
        assert_eq!(cooldown.verdict, "refuse", "each is asked, whatever the others say");
        assert!(cooldown.words.contains("left"), "{}", cooldown.words);
        assert!(bench.now().since(newest.at) < Duration::from_secs(8), "its numbers are new");
    });
}

#[test]
fn the_board_shows_a_bounded_number_of_components() {
    in_virtual_time(async {
        let bench = Bench::new();
        let since = bench.now();
        for number in 0..400 {
            let mut report = sick(&format!("component-{number}"), since);
            report.request.sick_dependencies = vec![ComponentId::new(CLUSTER, "etcd")];
            bench.report(report).await;
        }
        let assessments = bench.around.board.snapshot().recoverer.assessments.clone();
        assert_eq!(assessments.len(), 256);
        assert!(assessments.contains_key("milvus-ha/component-399"), "the newest are shown");
    });
}

//! A request whose answer was lost is looked up, never assumed and never repeated blindly.

use super::*;

/// A request on its way to a platform that does not answer, and an actor that is made anew from what
/// is stored of the ledger. `arrived`: whether the platform has it.
async fn killed(arrived: bool) -> (Bench, Recover) {
    let mut bench = Bench::new();
    bench.cluster.state().answers.push_back(Answer::Hang);
    let incident = sick("proxy", bench.now());
    bench.report(incident.clone()).await;
    assert_eq!(bench.restarts(), 1);
    if arrived {
        let key = bench.cluster.state().restarts[0].idempotency_key.clone();
        bench.cluster.state().arrived.push(key);
    }
    let stored = bench.ledger.lock().unwrap().export();
    let (ledger, problems) = RecoveryLedger::import(&stored);
    assert!(problems.is_empty(), "{problems:?}");
    bench.ledger = Arc::new(Mutex::new(ledger));
    (bench, incident)
}

#[test]
fn what_had_arrived_before_a_kill_is_verified_and_not_repeated() {
    in_virtual_time(async {
        let (mut bench, incident) = killed(true).await;
        bench.respawn().await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started]);
        bench.report(incident).await;
        sleep(Duration::from_secs(20)).await;
        bench.healthy("proxy").await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started, RecoveryPhase::Recovered]);
        assert_eq!(bench.restarts(), 1);
        use ActionPhase::{Accepted, Begun, Succeeded, Unknown};
        assert_eq!(bench.actions().await, [Begun, Unknown, Accepted, Succeeded]);
    });
}

#[test]
fn what_had_not_arrived_before_a_kill_is_the_same_request_again_in_the_same_place() {
    in_virtual_time(async {
        let (mut bench, incident) = killed(false).await;
        bench.respawn().await;
        assert_eq!(bench.phases(), [RecoveryPhase::NotRecovered]);
        assert!(bench.last_words().contains("trying again at"), "{}", bench.last_words());
        bench.cluster.state().answers.push_back(Answer::Hang);
        bench.report(incident.clone()).await;
        let restarts = bench.cluster.state().restarts.clone();
        assert_eq!(restarts.len(), 2, "the platform had refused nothing");
        assert_eq!(restarts[0], restarts[1]);
        // Whatever ends falconer there each time is not done again and again.
        bench.respawn().await;
        bench.report(incident.clone()).await;
        assert_eq!(bench.restarts(), 2, "not at once");
        sleep(Duration::from_secs(61)).await;
        bench.report(incident).await;
        let restarts = bench.cluster.state().restarts.clone();
        assert_eq!(restarts.len(), 3);
        assert_eq!(restarts[0], restarts[2]);
        assert_eq!(bench.around.board.snapshot().recoverer.global_budget.used, 1);
    });
}

#[test]
fn while_the_platform_does_not_say_nothing_else_is_done_and_it_is_asked_ever_less() {
    in_virtual_time(async {
        let (mut bench, incident) = killed(true).await;
        bench.cluster.state().lookups_fail = true;
        bench.respawn().await;
        for _ in 0..60 {
            bench.report(incident.clone()).await;
            sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(bench.restarts(), 1);
        let questions = bench.cluster.state().lookups.len();
        assert!((10..=20).contains(&questions), "{questions} questions in ten minutes");
        assert_eq!(bench.phases(), [RecoveryPhase::Refused], "told once");
        let words = bench.last_words();
        assert!(words.contains("not known whether falconer's request to restart"), "{words}");
        bench.cluster.state().lookups_fail = false;
        sleep(Duration::from_secs(73)).await;
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Started));
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Recovered));
        assert_eq!(bench.restarts(), 1);
    });
}

#[test]
fn an_answer_that_is_lost_on_its_way_is_looked_up_too() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().answers.push_back(Answer::Hang);
        bench.report(sick("proxy", bench.now())).await;
        let key = bench.cluster.state().restarts[0].idempotency_key.clone();
        bench.cluster.state().arrived.push(key);
        sleep(Duration::from_secs(31)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started]);
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started, RecoveryPhase::Recovered]);
        assert_eq!(bench.restarts(), 1);
    });
}

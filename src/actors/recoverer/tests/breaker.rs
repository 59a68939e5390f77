//! Beyond the cluster's budget a person must look first.

use super::*;
use crate::model::journal::BreakerChange;

/// Three components, of which two may be restarted before the breaker opens.
async fn tripped(dry_run: bool) -> Bench {
    let mut settings = RecovererSettings { dry_run, ..RecovererSettings::default() };
    settings.global.cluster_budget.actions = 2;
    let bench = Bench::with(settings);
    if dry_run {
        bench.cluster.state().answers.extend([Answer::Show, Answer::Show]);
    }
    for component in ["proxy", "datanode"] {
        bench.report(sick(component, bench.now())).await;
        sleep(Duration::from_secs(1)).await;
        bench.healthy(component).await;
        sleep(Duration::from_secs(5)).await;
    }
    bench.report(sick("querynode", bench.now())).await;
    bench
}

async fn changes(bench: &Bench) -> Vec<BreakerChange> {
    let change = |record| match record {
        JournalRecord::Breaker { change, .. } => Some(change),
        _ => None,
    };
    bench.journal().await.into_iter().filter_map(change).collect()
}

#[test]
fn the_breaker_opens_once_says_how_to_close_it_and_stops_the_whole_cluster() {
    in_virtual_time(async {
        let mut bench = tripped(false).await;
        let words = bench.last_words();
        assert!(words.contains("recovery of milvus-ha is stopped"), "{words}");
        assert!(words.contains("2 actions per 1h"), "{words}");
        assert!(words.contains("falconer resume milvus-ha"), "{words}");
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Stopped));
        assert!(RecoveryPhase::Stopped.calls_person(), "whoever was told hears of it at once");
        // Something else is told meanwhile, and a new incarnation knows what was told.
        let one = sick("querynode", bench.now().minus(Duration::from_secs(1)));
        for failures in [3, 1, 3, 1, 3] {
            let mut again = one.clone();
            again.request.failures = failures;
            bench.report(again).await;
            bench.respawn().await;
        }
        let calls = bench.phases().iter().filter(|phase| phase.calls_person()).count();
        assert_eq!(calls, 2, "once for each of two incidents");
        let told = bench.heard.lock().unwrap().len();
        for _ in 0..400 {
            bench.report(sick("querynode", bench.now())).await;
            bench.report(sick("mixcoord", bench.now())).await;
            sleep(Duration::from_secs(60)).await;
        }
        assert_eq!(bench.restarts(), 2, "not even when the budget has room again");
        assert_eq!(changes(&bench).await, [BreakerChange::Tripped]);
        let breakers = bench.around.board.snapshot().recoverer.breakers.clone();
        assert!(breakers.contains_key(CLUSTER));
        // Each incident is told of it once.
        let incidents = 2 * 400;
        assert!(bench.heard.lock().unwrap().len() - told <= incidents);
    });
}

#[test]
fn a_person_resumes_recovery_and_it_goes_on_at_once() {
    in_virtual_time(async {
        let mut bench = tripped(false).await;
        let incident = sick("querynode", bench.now());
        bench.report(incident.clone()).await;
        // It outlives the actor.
        bench.respawn().await;
        bench.report(incident.clone()).await;
        assert_eq!(bench.restarts(), 2);
        let other = Resume { cluster: Some("other".into()), by: "ada".to_owned() };
        let resumed = bench.actor.address.send(other).await.expect("an answer");
        assert!(resumed.is_empty());
        bench.report(incident.clone()).await;
        assert_eq!(bench.restarts(), 2);

        let every = Resume { cluster: None, by: "ada".to_owned() };
        let resumed = bench.actor.address.send(every).await.expect("an answer");
        assert_eq!(resumed, [Arc::from(CLUSTER)]);
        sleep(Duration::from_millis(1)).await;
        assert!(bench.last_words().contains("resumed by ada"), "{}", bench.last_words());
        bench.report(incident).await;
        assert_eq!(bench.restarts(), 3);
        assert_eq!(changes(&bench).await, [BreakerChange::Tripped, BreakerChange::Reset]);
        assert!(bench.around.board.snapshot().recoverer.breakers.is_empty());
    });
}

#[test]
fn what_is_only_shown_stops_nobody() {
    in_virtual_time(async {
        let bench = tripped(true).await;
        assert_eq!(changes(&bench).await, []);
        assert!(bench.around.board.snapshot().recoverer.breakers.is_empty());
        assert!(bench.phases().contains(&RecoveryPhase::Refused), "but says what would be");
    });
}

//! Only the leader acts, and only while its lease lasts until the action has ended.

use tokio::sync::watch;

use super::*;
use crate::actors::leadership::LeadershipHandle;
use crate::model::Leadership;

/// A recoverer in an election, and what the election says.
async fn bench_in_an_election() -> (Bench, watch::Sender<Leadership>) {
    let mut bench = Bench::new();
    let since = bench.now();
    let leads = Leadership::Leader { since, until: since + Duration::from_secs(3_600) };
    let (election, newest) = watch::channel(leads);
    bench.around.leadership = LeadershipHandle::new(newest, Duration::from_secs(60));
    bench.respawn().await;
    (bench, election)
}

fn follower(bench: &Bench) -> Leadership {
    Leadership::Follower { leader: Some("falconer-b".into()), since: bench.now() }
}

#[test]
fn a_lease_that_ends_before_the_action_would_is_not_enough() {
    in_virtual_time(async {
        let (bench, election) = bench_in_an_election().await;
        let since = bench.now();
        // Evidence 5 s, journal 2 s, event 3 s, request 30 s, two questions of 2 s.
        election.send_replace(Leadership::Leader { since, until: since + Duration::from_secs(43) });
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.restarts(), 0);
        assert!(bench.last_words().contains("lease is valid for"), "{}", bench.last_words());
        election.send_replace(Leadership::Leader { since, until: since + Duration::from_secs(45) });
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.restarts(), 1);
    });
}

#[test]
fn a_lease_lost_while_evidence_is_gathered_ends_the_matter() {
    in_virtual_time(async {
        let (bench, election) = bench_in_an_election().await;
        bench.cluster.state().evidence_hangs = true;
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_secs(2)).await;
        election.send_replace(follower(&bench));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(bench.restarts(), 0);
        assert_eq!(bench.cluster.event_reasons(), [""; 0], "nothing was announced either");
        assert!(bench.last_words().contains("falconer-b"), "{}", bench.last_words());
    });
}

#[test]
fn a_lease_lost_between_the_decision_and_the_request_withdraws_it_without_a_trace() {
    in_virtual_time(async {
        let (bench, election) = bench_in_an_election().await;
        bench.cluster.state().events_hang = true;
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        sleep(Duration::from_secs(1)).await;
        election.send_replace(follower(&bench));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(bench.restarts(), 0);
        assert_eq!(bench.phases(), [RecoveryPhase::Refused]);
        let words = bench.last_words();
        assert!(words.contains("not asked to restart deployment/milvus-proxy"), "{words}");
        assert_eq!(bench.actions().await, [ActionPhase::Begun, ActionPhase::Error]);
        let snapshot = bench.around.board.snapshot().recoverer;
        assert!(snapshot.in_flight.is_empty());
        assert_eq!(snapshot.global_budget.used, 0, "it was never asked for");
        assert_eq!(bench.around.registry.holder(&CLUSTER.into(), &deployment("proxy")), None);

        bench.cluster.state().events_hang = false;
        let until = bench.now() + Duration::from_secs(3_600);
        election.send_replace(Leadership::Leader { since: bench.now(), until });
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.restarts(), 1, "and there is no cooldown");
    });
}

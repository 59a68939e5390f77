//! The recoverer with a platform in memory, in virtual time.

mod breaker;
mod evidence;
mod leading;
mod lookup;
mod pods;
mod written;

use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::actors::exit_guard::{self, Running};
use crate::actors::supervisor::GetSickness;
use crate::actors::testing::{
    Answer, CLUSTER, FakeCluster, Recorder, deployment, every_cluster_error, in_virtual_time,
    surroundings, workload,
};
use crate::effects::ClusterError;
use crate::model::journal::ActionPhase;
use crate::model::{
    IncidentId, JournalQuery, JournalRecord, Matchers, NewSilence, ReasonKind, RolloutStatus,
};
use crate::policy::recovery::{LadderStep, Trouble};

/// One recoverer with everything around it.
struct Bench {
    cluster: Arc<FakeCluster>,
    ledger: Arc<Mutex<RecoveryLedger>>,
    around: Surroundings,
    ways: SupervisorWays,
    /// What the supervisor knows of each component.
    known: Known,
    heard: Arc<Mutex<Vec<RecoveryProgressed>>>,
    settings: RecovererSettings,
    actor: Running<Recoverer>,
}

impl Bench {
    fn new() -> Self {
        Self::with(RecovererSettings::default())
    }

    fn with(settings: RecovererSettings) -> Self {
        let (cluster, around) = surroundings();
        let ways = SupervisorWays::default();
        let heard = Recorder::behind(&ways.progress);
        let known = Known::default();
        ways.sickness.publish(&FakeSupervisor(Arc::clone(&known)).start());
        let ledger = Arc::new(Mutex::new(RecoveryLedger::default()));
        let actor = incarnation(&settings, &ledger, &ways, &around);
        Self { cluster, ledger, around, ways, known, heard, settings, actor }
    }

    /// Ends the present incarnation without a farewell and makes a new one.
    async fn respawn(&mut self) {
        self.actor.abort.abort();
        self.actor = incarnation(&self.settings, &self.ledger, &self.ways, &self.around);
        sleep(Duration::from_millis(1)).await;
    }

    fn now(&self) -> Timestamp {
        self.around.clock.now()
    }

    /// One report of a sick component, and a moment for what it causes.
    async fn report(&self, message: Recover) {
        self.learn(message.request.component.clone(), Some(message.clone()));
        self.actor.address.do_send(message);
        sleep(Duration::from_millis(1)).await;
    }

    async fn healthy(&self, component: &str) {
        let component = ComponentId::new(CLUSTER, component);
        self.learn(component.clone(), None);
        self.actor.address.do_send(ComponentHealthy {
            component,
            since: self.now(),
            milvus_failing: false,
        });
        sleep(Duration::from_millis(1)).await;
    }

    /// The supervisor learns something, and has not told it yet.
    fn learn(&self, component: ComponentId, report: Option<Recover>) {
        self.known.lock().unwrap().insert(component.component, report);
    }

    fn restarts(&self) -> usize {
        self.cluster.state().restarts.len()
    }

    /// Everything in the journal but evidence of no interest, oldest first.
    async fn journal(&self) -> Vec<JournalRecord> {
        let query = JournalQuery { component: None, kinds: Vec::new(), limit: 1_000 };
        let entries = self.around.journal.recent(&query).await.expect("it is in memory");
        entries.into_iter().rev().map(|entry| entry.record).collect()
    }

    /// Where each action in the journal stood, oldest first.
    async fn actions(&self) -> Vec<ActionPhase> {
        let records = self.journal().await.into_iter();
        let phase = |record| match record {
            JournalRecord::Action(action) => Some(action.phase),
            _ => None,
        };
        records.filter_map(phase).collect()
    }

    fn phases(&self) -> Vec<RecoveryPhase> {
        self.heard.lock().unwrap().iter().map(|progress| progress.phase).collect()
    }

    fn last_words(&self) -> String {
        self.heard.lock().unwrap().last().map(|last| last.summary.clone()).unwrap_or_default()
    }
}

fn incarnation(
    settings: &RecovererSettings,
    ledger: &Arc<Mutex<RecoveryLedger>>,
    ways: &SupervisorWays,
    around: &Surroundings,
) -> Running<Recoverer> {
    let links = around.clusters.keys().map(|name| (Arc::clone(name), ways.clone())).collect();
    let actor = Recoverer::new(settings.clone(), Arc::clone(ledger), links, around.clone());
    exit_guard::start(16, move |_| actor, Box::new(|_| {}))
}

type Known = Arc<Mutex<HashMap<Arc<str>, Option<Recover>>>>;

/// Knows what it was told, and nothing of what it was not told.
struct FakeSupervisor(Known);

impl Actor for FakeSupervisor {
    type Context = Context<Self>;
}

impl Handler<GetSickness> for FakeSupervisor {
    type Result = MessageResult<GetSickness>;

    fn handle(&mut self, message: GetSickness, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.0.lock().unwrap().get(&message.0).cloned().flatten())
    }
}

fn sick(component: &str, since: Timestamp) -> Recover {
    let id = ComponentId::new(CLUSTER, component);
    let request = RecoveryRequest {
        incident: IncidentId::new(&id, since),
        component: id,
        role: None,
        workloads: vec![workload(component, 2)],
        pods: Vec::new(),
        serves: false,
        failures: 3,
        failure_threshold: 3,
        grace_until: None,
        sick_others: Vec::new(),
        milvus_version: None,
        not_leader: None,
        quiet: None,
        trouble: Trouble::Sick,
        unhealthy_since: since,
        sick_components: 1,
        watched_components: 4,
        sick_dependencies: Vec::new(),
        cluster_seen_at: None,
        platform_error: None,
        being_scaled: Vec::new(),
    };
    let reason = Reason::new(ReasonKind::Status, "answered 500");
    Recover { request, reason, milvus_failing: false }
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

#[test]
fn nothing_is_restarted_while_a_silence_holds_recovery() {
    in_virtual_time(async {
        let bench = Bench::new();
        let (since, held) = (bench.now(), [Held::Recovery]);
        let silence = |component: &str, holds: &[Held]| NewSilence {
            matchers: Matchers { component: Some(component.into()), ..Matchers::default() },
            holds: holds.iter().copied().collect(),
            starts_at: since,
            ends_at: since + minutes(30),
            created_by: "ada".into(),
            comment: "upgrade".into(),
        };
        let add = |wanted| bench.around.silences.lock().unwrap().add(wanted, 1, since).unwrap();
        let id = add(silence("prox*", &held)).id;
        // One that holds alerts only keeps nobody from restarting anything.
        add(silence("etcd", &[]));
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.restarts(), 0);
        let until = since + minutes(30);
        let words = format!("nothing is done: silence {id} by ada (\"upgrade\") until {until}");
        assert_eq!(bench.last_words(), words);
        bench.around.silences.lock().unwrap().expire(&id, "ada", bench.now()).unwrap();
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.restarts(), 1);
    });
}

#[test]
fn a_restart_is_announced_verified_and_told() {
    in_virtual_time(async {
        let bench = Bench::new();
        let rolling = RolloutStatus::InProgress { message: "0 of 2".to_owned() };
        bench.cluster.state().rollouts.insert(deployment("proxy"), rolling);
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.cluster.event_reasons(), ["RolloutRestart"]);
        assert_eq!(bench.phases(), [RecoveryPhase::Started]);
        sleep(Duration::from_secs(20)).await;
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started], "the rollout still goes on");
        bench.cluster.state().rollouts.clear();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::Started, RecoveryPhase::Recovered]);
        assert_eq!(bench.cluster.event_reasons(), ["RolloutRestart", "Recovered"]);
        assert_eq!(bench.restarts(), 1);
        let snapshot = bench.around.board.snapshot().recoverer;
        assert!(snapshot.in_flight.is_empty());
        assert_eq!(snapshot.global_budget, BudgetUse { used: 1, allowed: 10 });
        assert_eq!(snapshot.recent.len(), 2);
        let asked = bench.cluster.state().questions;
        sleep(minutes(5)).await;
        assert_eq!(bench.cluster.state().questions, asked, "nothing is polled any more");
    });
}

#[test]
fn a_restart_that_does_not_help_is_escalated_once_and_never_repeated() {
    in_virtual_time(async {
        let bench = Bench::new();
        let incident = sick("proxy", bench.now());
        for _ in 0..240 {
            bench.report(incident.clone()).await;
            sleep(Duration::from_secs(10)).await;
        }
        let expected = [
            RecoveryPhase::Started,
            RecoveryPhase::NotRecovered,
            RecoveryPhase::Escalated,
            RecoveryPhase::Refused,
        ];
        assert_eq!(bench.phases(), expected);
        assert_eq!(bench.restarts(), 1);
        let reasons = bench.cluster.event_reasons();
        assert_eq!(reasons, ["RolloutRestart", "NotRecovered", "Escalated"]);
    });
}

#[test]
fn what_comes_back_soon_is_not_restarted_again() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_secs(30)).await;
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(60)).await;
        let again = sick("proxy", bench.now());
        for _ in 0..100 {
            bench.report(again.clone()).await;
            sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(bench.restarts(), 1);
        assert!(bench.phases().contains(&RecoveryPhase::Escalated));
    });
}

#[test]
fn what_is_sick_again_within_its_cooldown_waits_for_it() {
    in_virtual_time(async {
        let mut settings = RecovererSettings::default();
        settings.default.ladder = vec![LadderStep::RolloutRestart, LadderStep::RolloutRestart];
        let bench = Bench::with(settings);
        bench.report(sick("proxy", bench.now())).await;
        sleep(Duration::from_secs(30)).await;
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(30)).await;
        let again = sick("proxy", bench.now());
        bench.report(again.clone()).await;
        assert_eq!(bench.restarts(), 1);
        assert!(bench.last_words().contains("cooldown"), "{}", bench.last_words());
        sleep(minutes(4)).await;
        bench.report(again).await;
        assert_eq!(bench.restarts(), 2);
    });
}

#[test]
fn a_dead_etcd_with_every_component_red_leads_to_no_restart() {
    in_virtual_time(async {
        let bench = Bench::new();
        let components = ["proxy", "mixcoord", "querynode", "datanode"];
        let since = bench.now();
        for _ in 0..360 {
            for component in components {
                let mut report = sick(component, since);
                report.request.sick_components = components.len();
                report.request.sick_dependencies = vec![ComponentId::new(CLUSTER, "etcd")];
                bench.report(report).await;
            }
            sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(bench.restarts(), 0);
        assert_eq!(bench.heard.lock().unwrap().len(), components.len(), "each is told once");
        assert!(bench.last_words().contains("etcd"), "{}", bench.last_words());
    });
}

#[test]
fn two_sick_components_are_restarted_one_after_the_other() {
    in_virtual_time(async {
        let bench = Bench::new();
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        bench.report(sick("datanode", since)).await;
        assert_eq!(bench.restarts(), 1);
        assert!(bench.last_words().contains("milvus-ha/proxy"), "{}", bench.last_words());
        sleep(Duration::from_secs(10)).await;
        bench.healthy("proxy").await;
        bench.report(sick("datanode", since)).await;
        assert_eq!(bench.restarts(), 2);
        assert_eq!(bench.cluster.state().restarts[1].workload, deployment("datanode"));
    });
}

#[test]
fn every_platform_error_is_told_and_none_ends_the_actor() {
    in_virtual_time(async {
        for error in every_cluster_error() {
            let bench = Bench::new();
            let (retryable, words) = (error.is_retryable(), error.to_string());
            bench.cluster.state().answers.push_back(Answer::Fail(error));
            let incident = sick("proxy", bench.now());
            bench.report(incident.clone()).await;
            assert_eq!(bench.phases(), [RecoveryPhase::NotRecovered]);
            assert!(bench.last_words().contains(&words), "{}", bench.last_words());
            sleep(Duration::from_secs(5)).await;
            bench.report(incident.clone()).await;
            assert_eq!(bench.restarts(), 1, "not at once");
            sleep(Duration::from_secs(30)).await;
            bench.report(incident).await;
            assert!(bench.actor.address.connected());
            let restarts = bench.cluster.state().restarts.clone();
            if retryable {
                assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Started));
                assert_eq!(restarts[0], restarts[1], "the very same request");
            } else {
                assert!(bench.phases().contains(&RecoveryPhase::Escalated));
                assert_eq!(restarts.len(), 1);
            }
        }
    });
}

#[test]
fn a_platform_that_never_answers_neither_hangs_the_actor_nor_holds_the_workload() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().events_hang = true;
        bench.cluster.state().answers.push_back(Answer::Hang);
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.restarts(), 0, "the event goes first");
        sleep(Duration::from_secs(4)).await;
        assert_eq!(bench.restarts(), 1, "but delays the action by seconds only");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::NotRecovered]);
        assert_eq!(bench.around.registry.holder(&CLUSTER.into(), &deployment("proxy")), None);
    });
}

#[test]
fn a_dry_run_shows_the_change_and_not_each_second() {
    in_virtual_time(async {
        let settings = RecovererSettings { dry_run: true, ..RecovererSettings::default() };
        let bench = Bench::with(settings);
        bench.cluster.state().answers.extend([Answer::Show, Answer::Show, Answer::Show]);
        let incident = sick("proxy", bench.now());
        bench.report(incident.clone()).await;
        assert_eq!(bench.phases(), [RecoveryPhase::DryRun]);
        let words = bench.last_words();
        assert!(words.contains("PATCH deployment/milvus-proxy"), "{words}");
        for _ in 0..200 {
            bench.report(incident.clone()).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(bench.restarts(), 1);
        assert_eq!(bench.phases(), [RecoveryPhase::DryRun], "its own cooldown does not hide it");
        assert!(bench.cluster.event_reasons().is_empty(), "a dry run leaves no trace");
        assert_eq!(bench.around.registry.holder(&CLUSTER.into(), &deployment("proxy")), None);
    });
}

#[test]
fn a_new_incarnation_verifies_what_the_old_one_began_and_repeats_nothing() {
    in_virtual_time(async {
        for panics in [false, true] {
            let mut bench = Bench::new();
            if panics {
                bench.cluster.state().answers.push_back(Answer::Panic);
            }
            let incident = sick("proxy", bench.now());
            bench.report(incident.clone()).await;
            assert_eq!(bench.restarts(), 1);
            assert_ne!(bench.actor.address.connected(), panics);
            let key = bench.cluster.state().restarts[0].idempotency_key.clone();
            bench.cluster.state().arrived.push(key);
            bench.respawn().await;
            bench.report(incident).await;
            sleep(Duration::from_secs(20)).await;
            bench.healthy("proxy").await;
            assert_eq!(bench.restarts(), 1);
            assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Recovered));
        }
    });
}

#[test]
fn a_workload_that_is_being_scaled_is_left_alone_until_it_is_released() {
    in_virtual_time(async {
        let bench = Bench::new();
        let (cluster, proxy) = (CLUSTER.into(), deployment("proxy"));
        bench.around.registry.claim(&cluster, &proxy, ActionHolder::Scaler).unwrap();
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.restarts(), 0);
        assert_eq!(bench.phases(), [RecoveryPhase::Refused]);
        bench.around.registry.release(&cluster, &proxy, ActionHolder::Scaler);
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.restarts(), 1);
        let holder = bench.around.registry.holder(&cluster, &proxy);
        assert_eq!(holder, Some(ActionHolder::Recoverer));
    });
}

#[test]
fn draining_tells_what_is_under_way_and_begins_nothing_more() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.report(sick("proxy", bench.now())).await;
        let under_way = bench.actor.address.send(Drain).await.expect("an answer");
        assert_eq!(under_way.len(), 1);
        bench.healthy("proxy").await;
        sleep(minutes(30)).await;
        bench.report(sick("datanode", bench.now())).await;
        assert_eq!(bench.restarts(), 1);
    });
}

#[test]
fn other_settings_hold_from_the_next_decision_on_and_the_ledger_stays() {
    in_virtual_time(async {
        let dry = RecovererSettings { dry_run: true, ..RecovererSettings::default() };
        let bench = Bench::with(dry);
        bench.cluster.state().answers.push_back(Answer::Show);
        let since = bench.now();
        bench.report(sick("proxy", since)).await;
        assert_eq!(bench.phases(), [RecoveryPhase::DryRun]);

        let other = FakeCluster::new();
        let platform: Arc<dyn crate::effects::Cluster> = other.clone();
        let mut settings = RecovererSettings::default();
        settings.default.budget.actions = 2;
        bench.actor.address.do_send(Reconfigure {
            settings,
            clusters: HashMap::from([(CLUSTER.into(), platform)]),
            supervisors: HashMap::from([(CLUSTER.into(), bench.ways.clone())]),
        });
        bench.report(sick("proxy", since)).await;
        assert_eq!(other.state().restarts.len(), 0, "the cooldown of what was shown holds");
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Refused), "and is told now");
        sleep(minutes(6)).await;
        bench.report(sick("proxy", since)).await;
        assert_eq!(other.state().restarts.len(), 1, "done, on the platform that holds now");
        assert_eq!(bench.restarts(), 1, "the former one was only shown it");
        // What was shown counts, as it would have counted had it been done.
        assert!(bench.last_words().contains("2 of 2 actions"), "{}", bench.last_words());
    });
}

#[test]
fn a_platform_that_fails_is_not_hammered_and_does_not_slow_another_cluster() {
    in_virtual_time(async {
        let mut bench = Bench::new();
        let (healthy, _) = surroundings();
        let platform: Arc<dyn crate::effects::Cluster> = healthy.clone();
        bench.around.clusters.insert("other".into(), platform);
        bench.settings.global.budget.actions = 1_000;
        bench.settings.global.max_concurrent = 1_000;
        bench.cluster.state().lookups_fail = true;
        bench.respawn().await;
        let error = || every_cluster_error().into_iter().last().expect("an error");
        bench.cluster.state().answers.extend((0..1_000).map(|_| Answer::Fail(error())));
        let since = bench.now();
        let names: Vec<String> = (0..50).map(|number| format!("component-{number}")).collect();
        for second in 0..60 {
            for name in &names {
                bench.report(sick(name, since)).await;
            }
            if second == 30 {
                let mut other = sick("proxy", since);
                other.request.component = ComponentId::new("other", "proxy");
                bench.report(other).await;
                assert_eq!(healthy.state().restarts.len(), 1, "at once");
            }
            sleep(Duration::from_millis(950)).await;
        }
        // Three failures open the circuit; trials follow after 2, 4, 8, 16 and 30 seconds, or later,
        // since the questions for what became of the requests are not answered either.
        let asked = bench.restarts();
        assert!((1..=9).contains(&asked), "{asked} requests in a minute for 50 components");
        let questions = bench.cluster.state().lookups.len();
        assert!(questions <= 6 * asked, "{questions} questions about {asked} requests");
        let refused =
            bench.phases().iter().filter(|phase| **phase == RecoveryPhase::Refused).count();
        assert!(refused >= 40, "{refused} were told that they wait");
        bench.cluster.state().answers.clear();
        bench.cluster.state().lookups_fail = false;
        for _ in 0..40 {
            bench.report(sick(&names[49], since)).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(bench.restarts(), asked + 1, "it is asked again once it answers");
        assert_eq!(bench.around.circuits.pause(&CLUSTER.into(), bench.now()), None);
    });
}

#[test]
fn an_action_under_way_is_verified_while_the_circuit_is_open() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.report(sick("proxy", bench.now())).await;
        assert_eq!(bench.restarts(), 1);
        let failed: Result<(), ClusterError> =
            Err(every_cluster_error().into_iter().next().expect("an error"));
        for _ in 0..10 {
            bench.around.answered(&CLUSTER.into(), &failed);
        }
        assert!(bench.around.circuits.pause(&CLUSTER.into(), bench.now()).is_some());
        bench.healthy("proxy").await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.phases().last(), Some(&RecoveryPhase::Recovered));
        assert_eq!(bench.around.circuits.pause(&CLUSTER.into(), bench.now()), None, "it answers");
    });
}

#[test]
fn the_board_does_not_show_an_action_whose_end_is_nothing_new() {
    in_virtual_time(async {
        let bench = Bench::new();
        let since = bench.now();
        for error in every_cluster_error().into_iter().filter(ClusterError::is_retryable).take(2) {
            bench.cluster.state().answers.push_back(Answer::Fail(error));
            bench.report(sick("proxy", since)).await;
            sleep(Duration::from_secs(40)).await;
        }
        assert_eq!(bench.restarts(), 2);
        assert_eq!(bench.phases(), [RecoveryPhase::NotRecovered], "told once");
        assert!(bench.around.board.snapshot().recoverer.in_flight.is_empty());
    });
}

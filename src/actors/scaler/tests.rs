//! The scaler with a platform in memory, in virtual time.

mod draining;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::*;
use crate::actors::exit_guard::{self, Running};
use crate::actors::leadership::LeadershipHandle;
use crate::actors::testing::{
    Answer, CLUSTER, FakeCluster, Recorder, deployment, every_cluster_error, in_virtual_time,
    surroundings, workload,
};
use crate::clock::Clock;
use crate::effects::{ClusterError, ScaleRequest};
use crate::metrics::{Metrics, MetricsSettings};
use crate::model::{
    Autoscaler, GitOps, GitOpsTool, HealthState, Leadership, Pod, PodCondition, PodLife, PodUsage,
    Resources, Role, RolloutStatus,
};
use crate::model::{JournalKind, JournalQuery, Matchers, NewSilence};
use crate::policy::scaling::figures::Figures;
use crate::policy::scaling::{PodFigures, ScalingMode};

/// One scaler with everything around it.
struct Bench {
    cluster: Arc<FakeCluster>,
    ledger: Arc<Mutex<ScalingLedger>>,
    around: Surroundings,
    progress: Post<ScalingProgressed>,
    heard: Arc<Mutex<Vec<ScalingProgressed>>>,
    settings: ScalerSettings,
    actor: Running<Scaler>,
}

impl Bench {
    fn new() -> Self {
        let mut settings = ScalerSettings::default();
        settings.default.scale_down.stabilization = Duration::ZERO;
        Self::with(settings)
    }

    fn with(settings: ScalerSettings) -> Self {
        let (cluster, around) = surroundings();
        let progress = Post::new();
        let heard = Recorder::behind(&progress);
        let ledger = Arc::new(Mutex::new(ScalingLedger::default()));
        let actor = incarnation(&settings, &ledger, &progress, &around);
        Self { cluster, ledger, around, progress, heard, settings, actor }
    }

    async fn respawn(&mut self) {
        self.actor.abort.abort();
        self.actor = incarnation(&self.settings, &self.ledger, &self.progress, &self.around);
        sleep(Duration::from_millis(1)).await;
    }

    /// One report of load, and the time until the next one.
    async fn report(&self, load: LoadObserved) {
        self.actor.address.do_send(load);
        sleep(Duration::from_secs(15)).await;
    }

    fn load(&self, replicas: u32, cpu: u32) -> LoadObserved {
        let reference = deployment("proxy");
        let pods = (0..replicas).map(|index| Pod {
            name: format!("p-{index}").into(),
            ip: None,
            condition: PodCondition::Ready,
            requests: Resources::default(),
            limits: Resources::default(),
            started_at: None,
            workload: Some(reference.clone()),
            life: PodLife::default(),
        });
        let usage = (0..replicas).map(|index| PodUsage {
            pod: format!("p-{index}"),
            cpu_milli: Some(1),
            memory_bytes: Some(1),
            cpu_percent_of_request: Some(cpu),
            memory_percent_of_request: Some(10),
            cpu_percent_of_limit: None,
            memory_percent_of_limit: None,
            sampled_at: Some(self.around.clock.now()),
            window: std::time::Duration::ZERO,
        });
        LoadObserved(ScalingRequest {
            component: ComponentId::new(CLUSTER, "proxy"),
            role: Role::Proxy,
            workloads: vec![workload("proxy", replicas)],
            pods: pods.collect(),
            usage: usage.collect(),
            figures: Vec::new(),
            health: HealthState::Healthy,
            being_restarted: Vec::new(),
            sick_below: Vec::new(),
            quiet: None,
        })
    }

    fn asked(&self) -> Vec<(u32, u32)> {
        self.cluster.state().scalings.iter().map(|request| (request.from, request.to)).collect()
    }

    fn words(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|progress| progress.summary.clone()).collect()
    }

    async fn journalled(&self, decision: &str) -> usize {
        let component = ComponentId::new(CLUSTER, "proxy");
        let query = JournalQuery::of(&component, JournalKind::Scaling, 100);
        let entries = self.around.journal.recent(&query).await.expect("it is in memory");
        let is_wanted = |entry: &&JournalEntry| matches!(&entry.record, JournalRecord::Scaling { decision: found, .. } if found == decision);
        entries.iter().filter(is_wanted).count()
    }

    fn holder(&self) -> Option<ActionHolder> {
        self.around.registry.holder(&CLUSTER.into(), &deployment("proxy"))
    }
}

fn incarnation(
    settings: &ScalerSettings,
    ledger: &Arc<Mutex<ScalingLedger>>,
    progress: &Post<ScalingProgressed>,
    around: &Surroundings,
) -> Running<Scaler> {
    let links = HashMap::from([(CLUSTER.into(), progress.clone())]);
    let actor = Scaler::new(settings.clone(), Arc::clone(ledger), links, around.clone());
    exit_guard::start(16, move |_| actor, Box::new(|_| {}))
}

#[test]
fn a_busy_component_grows_by_one_at_a_time_and_shrinks_when_it_is_idle() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.report(bench.load(2, 95)).await;
        bench.report(bench.load(3, 95)).await;
        bench.report(bench.load(4, 50)).await;
        bench.report(bench.load(4, 5)).await;
        assert_eq!(bench.asked(), [(2, 3), (3, 4), (4, 3)]);
        assert_eq!(bench.cluster.event_reasons(), ["ScaledUp", "ScaledUp", "ScaledDown"]);
        let words = bench.words();
        assert!(words[0].contains("from 2 to 3 replicas: CPU 95% (threshold 70%)"), "{words:?}");
        assert_eq!(words.len(), 7, "begin and end of three changes, and the quiet between");
        assert!(bench.around.board.snapshot().scaler.in_flight.is_empty());
    });
}

#[test]
fn requests_a_second_decide_where_they_ask_for_most_and_a_pod_that_is_silent_is_not_idle() {
    in_virtual_time(async {
        let mut settings = ScalerSettings::default();
        let all = &mut settings.default;
        all.mode = ScalingMode::Target;
        (all.cpu_threshold, all.memory_threshold) = (None, None);
        all.figure_thresholds.qps = Some(100_000);
        all.scale_down.stabilization = Duration::ZERO;
        let bench = Bench::with(settings);
        let load = |replicas: u32, known: usize, qps: u64| {
            let LoadObserved(mut load) = bench.load(replicas, 50);
            let figures = Figures { qps: Some(qps * 1_000), ..Figures::default() };
            let sampled_at = bench.around.clock.now();
            let told = load.pods.iter().take(known);
            load.figures =
                told.map(|pod| PodFigures { pod: pod.name.clone(), figures, sampled_at }).collect();
            LoadObserved(load)
        };
        bench.report(load(2, 2, 150)).await;
        bench.report(load(3, 0, 0)).await;
        bench.report(load(3, 2, 10)).await;
        bench.report(load(3, 3, 10)).await;
        let words = bench.words();
        let is_named = |wanted: &str| words.iter().any(|words| words.contains(wanted));
        assert!(
            is_named("QPS per replica 150 (target 100): QPS per replica is above"),
            "{words:?}"
        );
        assert!(is_named("no pod that counts has a sample (QPS per replica)"), "{words:?}");
        assert_eq!(bench.asked(), [(2, 3), (3, 2), (3, 2)]);
    });
}

#[test]
fn at_most_one_decision_is_made_in_an_interval() {
    in_virtual_time(async {
        let bench = Bench::new();
        for _ in 0..10 {
            bench.actor.address.do_send(bench.load(2, 95));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(bench.asked(), [(2, 3)]);
    });
}

#[test]
fn the_next_change_waits_until_the_last_one_is_ready() {
    in_virtual_time(async {
        let bench = Bench::new();
        let message = "2 of 3 updated replicas are ready".to_owned();
        let rolling = RolloutStatus::InProgress { message };
        bench.cluster.state().rollouts.insert(deployment("proxy"), rolling);
        for _ in 0..8 {
            bench.report(bench.load(3, 95)).await;
        }
        assert_eq!(bench.asked(), [(3, 4)]);
        assert_eq!(bench.holder(), Some(ActionHolder::Scaler));
        bench.cluster.state().rollouts.clear();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.holder(), None);
        bench.report(bench.load(4, 95)).await;
        assert_eq!(bench.asked(), [(3, 4), (4, 5)]);
    });
}

#[test]
fn replicas_that_never_get_ready_are_told_and_release_the_workload() {
    in_virtual_time(async {
        let bench = Bench::new();
        let rolling = RolloutStatus::InProgress { message: "unschedulable".to_owned() };
        bench.cluster.state().rollouts.insert(deployment("proxy"), rolling);
        bench.report(bench.load(3, 95)).await;
        sleep(Duration::from_secs(600)).await;
        let words = bench.words();
        let last = words.last().expect("words");
        assert!(last.contains("not ready within 10m: unschedulable"), "{words:?}");
        assert_eq!(bench.holder(), None);
        assert_eq!(bench.cluster.event_reasons(), ["ScaledUp", "ScalingNotReady"]);
    });
}

#[test]
fn every_platform_error_is_told_once_and_retried_ever_more_slowly() {
    in_virtual_time(async {
        let conflict = |error: &ClusterError| matches!(error, ClusterError::Conflict { .. });
        for error in every_cluster_error().into_iter().filter(|error| !conflict(error)) {
            let bench = Bench::new();
            let words = error.to_string();
            bench.cluster.state().answers.push_back(Answer::Fail(error));
            bench.report(bench.load(3, 95)).await;
            assert!(bench.words()[0].contains(&words), "{:?}", bench.words());
            assert_eq!(bench.holder(), None);
            bench.report(bench.load(3, 95)).await;
            bench.report(bench.load(3, 95)).await;
            assert_eq!(bench.asked(), [(3, 4), (3, 4)]);
            assert!(bench.actor.address.connected());
        }
        let bench = Bench::new();
        let refuse = |_| Answer::Fail(every_cluster_error().into_iter().nth(2).expect("an error"));
        bench.cluster.state().answers.extend((0..100).map(refuse));
        for _ in 0..240 {
            bench.report(bench.load(3, 95)).await;
        }
        assert!(bench.asked().len() < 18, "an hour: {}", bench.asked().len());
        assert_eq!(bench.words().len(), 1);
    });
}

#[test]
fn a_platform_that_never_answers_does_not_hold_the_workload() {
    in_virtual_time(async {
        let bench = Bench::new();
        bench.cluster.state().answers.push_back(Answer::Hang);
        bench.report(bench.load(3, 95)).await;
        bench.report(bench.load(3, 95)).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(bench.asked(), [(3, 4)]);
        assert_eq!(bench.holder(), None);
        assert!(bench.words()[0].contains("no answer within 30 s"), "{:?}", bench.words());
    });
}

#[test]
fn a_dry_run_shows_the_exact_change_once() {
    in_virtual_time(async {
        let mut settings = ScalerSettings { dry_run: true, ..ScalerSettings::default() };
        settings.default.scale_down.stabilization = Duration::ZERO;
        let bench = Bench::with(settings);
        bench.cluster.state().answers.extend((0..9).map(|_| Answer::Show));
        for _ in 0..20 {
            bench.report(bench.load(3, 95)).await;
        }
        let request = ScaleRequest { workload: deployment("proxy"), from: 3, to: 4 };
        assert_eq!(bench.cluster.state().scalings, [request]);
        let words = bench.words();
        assert_eq!(words.len(), 1);
        assert!(words[0].contains("PATCH deployment/milvus-proxy/scale to 4"), "{words:?}");
        assert!(bench.cluster.event_reasons().is_empty(), "a dry run leaves no trace");
        bench.report(bench.load(3, 5)).await;
        assert_eq!(bench.asked(), [(3, 4), (3, 2)]);
    });
}

#[test]
fn a_workload_that_is_being_restarted_is_left_alone() {
    in_virtual_time(async {
        let bench = Bench::new();
        let (cluster, proxy) = (CLUSTER.into(), deployment("proxy"));
        bench.around.registry.claim(&cluster, &proxy, ActionHolder::Recoverer).unwrap();
        bench.report(bench.load(3, 95)).await;
        assert!(bench.asked().is_empty());
        assert!(bench.words()[0].contains("is being restarted"), "{:?}", bench.words());
        bench.around.registry.release(&cluster, &proxy, ActionHolder::Recoverer);
        bench.report(bench.load(3, 95)).await;
        assert_eq!(bench.asked(), [(3, 4)]);
    });
}

#[test]
fn a_silence_that_holds_scaling_is_observed_and_said() {
    in_virtual_time(async {
        let bench = Bench::new();
        let now = bench.around.clock.now();
        let wanted = NewSilence {
            matchers: Matchers { component: Some("proxy".into()), ..Matchers::default() },
            holds: [Held::Scaling].into(),
            starts_at: now,
            ends_at: now + Duration::from_mins(1),
            created_by: "ada".into(),
            comment: "load test".into(),
        };
        bench.around.silences.lock().unwrap().add(wanted, 1, now).unwrap();
        bench.report(bench.load(3, 95)).await;
        assert!(bench.asked().is_empty());
        let words = bench.words().remove(0);
        assert!(words.starts_with("not scaled: silence "), "{words}");
        assert!(words.contains(" by ada (\"load test\") until "), "{words}");
        sleep(Duration::from_mins(1)).await;
        bench.report(bench.load(3, 95)).await;
        assert_eq!(bench.asked(), [(3, 4)]);
    });
}

#[test]
fn a_reason_to_do_nothing_is_told_once() {
    in_virtual_time(async {
        let bench = Bench::new();
        for _ in 0..10 {
            let mut load = bench.load(3, 95);
            load.0.component = ComponentId::new(CLUSTER, "datanode");
            bench.report(load).await;
        }
        assert_eq!(bench.words(), ["not scaled: not listed in [scaler] components"]);
        assert!(bench.asked().is_empty());
    });
}

#[test]
fn a_new_incarnation_watches_what_the_old_one_began_and_repeats_nothing() {
    in_virtual_time(async {
        let mut bench = Bench::new();
        let rolling = RolloutStatus::InProgress { message: "on its way".to_owned() };
        bench.cluster.state().rollouts.insert(deployment("proxy"), rolling);
        bench.report(bench.load(3, 95)).await;
        bench.respawn().await;
        bench.report(bench.load(3, 95)).await;
        assert_eq!(bench.asked(), [(3, 4)]);
        bench.cluster.state().rollouts.clear();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.holder(), None);
        let under_way = bench.actor.address.send(Drain).await.expect("an answer");
        assert!(under_way.is_empty());
        bench.report(bench.load(4, 95)).await;
        assert_eq!(bench.asked(), [(3, 4)], "a draining scaler decides nothing");
    });
}

#[test]
fn nothing_is_scaled_while_the_platform_does_not_answer_and_at_once_when_it_does() {
    in_virtual_time(async {
        let bench = Bench::new();
        let error = || every_cluster_error().into_iter().next().expect("an error");
        let failed: Result<(), ClusterError> = Err(error());
        for _ in 0..5 {
            bench.around.answered(&CLUSTER.into(), &failed);
        }
        bench.actor.address.do_send(bench.load(3, 95));
        sleep(Duration::from_millis(1)).await;
        assert!(bench.asked().is_empty());
        assert!(bench.words()[0].contains("5 requests in a row failed"), "{:?}", bench.words());
        sleep(Duration::from_secs(15)).await;
        bench.report(bench.load(3, 95)).await;
        assert_eq!(bench.asked(), [(3, 4)]);
        assert_eq!(bench.around.circuits.pause(&CLUSTER.into(), bench.around.clock.now()), None);
    });
}

#[test]
fn the_board_does_not_show_a_change_whose_end_is_nothing_new() {
    in_virtual_time(async {
        let bench = Bench::new();
        for error in every_cluster_error().into_iter().take(2) {
            bench.cluster.state().answers.push_back(Answer::Fail(error));
            bench.report(bench.load(2, 95)).await;
            sleep(Duration::from_secs(40)).await;
        }
        assert_eq!(bench.asked(), [(2, 3), (2, 3)]);
        assert!(bench.around.board.snapshot().scaler.in_flight.is_empty());
    });
}

#[test]
fn only_the_leader_scales_and_only_with_a_lease_beyond_the_requests_deadline() {
    in_virtual_time(async {
        let (mut bench, (told, newest)) = (Bench::new(), {
            let now = Clock::starting_at(Timestamp::from_millis(1_000_000_000_000)).now();
            watch::channel(Leadership::Follower { leader: Some("other".into()), since: now })
        });
        bench.around.leadership = LeadershipHandle::new(newest, Duration::from_secs(5));
        bench.respawn().await;
        for _ in 0..3 {
            bench.report(bench.load(2, 90)).await;
        }
        assert_eq!(bench.asked(), []);
        assert_eq!(bench.words(), ["not scaled here: other is the leader"], "told once");
        assert_eq!(bench.holder(), None);

        // Four seconds are not enough for a request of five.
        let now = bench.around.clock.now();
        let until = |seconds| now + Duration::from_secs(seconds);
        told.send_replace(Leadership::Leader { since: now, until: until(4) });
        bench.report(bench.load(2, 90)).await;
        assert_eq!(bench.asked(), []);
        told.send_replace(Leadership::Leader { since: now, until: until(1_000) });
        bench.report(bench.load(2, 90)).await;
        assert_eq!(bench.asked(), [(2, 3)]);

        // A request that is not answered is given up while the lease is still valid.
        bench.cluster.state().answers.push_back(Answer::Hang);
        sleep(Duration::from_secs(120)).await;
        bench.report(bench.load(3, 90)).await;
        assert!(
            bench.words().last().unwrap().contains("no answer within 5 s"),
            "{:?}",
            bench.words()
        );
    });
}

#[test]
fn a_change_that_something_else_overtook_is_decided_anew_and_not_repeated() {
    in_virtual_time(async {
        let bench = Bench::new();
        let conflict = ClusterError::Conflict {
            operation: "scale",
            object: "deployment/milvus-proxy".to_owned(),
            message: "it has 5 replicas now, not 3".to_owned(),
        };
        bench.cluster.state().answers.push_back(Answer::Fail(conflict));
        bench.actor.address.do_send(bench.load(3, 95));
        sleep(Duration::from_secs(14)).await;
        assert_eq!(bench.asked(), [(3, 4)], "nothing is repeated by itself");
        assert_eq!(bench.holder(), None);
        assert!(bench.words()[0].contains("it has 5 replicas now, not 3"), "{:?}", bench.words());
        sleep(Duration::from_secs(1)).await;
        // By then the load is another one.
        bench.report(bench.load(5, 50)).await;
        assert_eq!(bench.asked(), [(3, 4)]);
        bench.report(bench.load(5, 95)).await;
        assert_eq!(bench.asked(), [(3, 4), (5, 6)]);
    });
}

#[test]
fn a_workload_that_something_else_scales_is_observed_and_told_once_for_each_direction() {
    in_virtual_time(async {
        let (metrics, registry) = Metrics::new(&MetricsSettings::default()).unwrap();
        let mut bench = Bench::new();
        bench.around.metrics = metrics;
        bench.respawn().await;
        let observed = |replicas, cpu| {
            let mut load = bench.load(replicas, cpu);
            let (kind, name) = ("HorizontalPodAutoscaler".to_owned(), "proxy".to_owned());
            load.0.workloads[0].autoscaler = Some(Autoscaler { kind, name });
            load
        };
        for (replicas, cpu) in [(3, 95), (3, 95), (5, 95), (5, 95)] {
            bench.report(observed(replicas, cpu)).await;
        }
        assert!(bench.asked().is_empty() && bench.cluster.event_reasons().is_empty());
        let words = bench.words();
        assert_eq!(words.len(), 1, "{words:?}");
        let expected = "HorizontalPodAutoscaler proxy scales deployment/milvus-proxy already; \
                        falconer would scale it from 3 to 4 replicas: CPU 95%";
        assert!(words[0].contains(expected), "{words:?}");
        let shown = bench.around.board.snapshot().scaler.observed.clone();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].would, Some((5, 6)), "the numbers are the newest");
        let page = registry.encode().unwrap();
        let counted = "kind=\"scale_up\",outcome=\"observed\"";
        assert!(page.lines().any(|line| line.contains(counted) && line.ends_with(" 1")), "{page}");

        bench.report(observed(5, 5)).await;
        assert_eq!(bench.words().len(), 2);
        bench.report(bench.load(5, 95)).await;
        assert_eq!(bench.asked(), [(5, 6)], "nothing else scales it any more");
        assert!(bench.around.board.snapshot().scaler.observed.is_empty());
    });
}

#[test]
fn an_autoscaler_that_only_the_platform_knows_of_is_observed_too() {
    in_virtual_time(async {
        let bench = Bench::new();
        let (kind, name) = ("ScaledObject".to_owned(), "k".to_owned());
        let (workload, autoscaler) = (deployment("proxy"), Autoscaler { kind, name });
        let refused = ClusterError::ScaledByOther { operation: "scale", workload, autoscaler };
        bench.cluster.state().answers.push_back(Answer::Fail(refused));
        bench.report(bench.load(3, 95)).await;
        let words = bench.words();
        assert!(words[0].contains("ScaledObject k scales"), "{words:?}");
        assert!(words[0].contains("falconer would scale it from 3 to 4"), "{words:?}");
        let shown = bench.around.board.snapshot();
        assert!(shown.scaler.in_flight.is_empty());
        assert_eq!((shown.scaler.observed.len(), bench.holder()), (1, None));
    });
}

#[test]
fn gitops_is_warned_of_once_for_a_workload_whoever_tells_it() {
    in_virtual_time(async {
        let mut bench = Bench::new();
        let tracked = |bench: &Bench| {
            let mut load = bench.load(3, 50);
            load.0.workloads[0].gitops = Some(GitOps {
                tool: GitOpsTool::Flux,
                evidence: "label l".to_owned(),
                sets_replicas: false,
            });
            load
        };
        for _ in 0..3 {
            bench.report(tracked(&bench)).await;
        }
        bench.respawn().await;
        bench.report(tracked(&bench)).await;
        let warnings = bench.around.board.snapshot().scaler.warnings.clone();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].words.contains("Flux (label l)"), "{warnings:?}");
        assert_eq!(bench.journalled("gitops").await, 1);
        bench.report(bench.load(3, 95)).await;
        assert_eq!(bench.asked(), [(3, 4)], "a warning is no refusal");
        assert!(bench.around.board.snapshot().scaler.warnings.is_empty());
    });
}

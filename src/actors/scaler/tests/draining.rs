//! Query nodes that go: emptied first, and given back whatever goes wrong.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::*;
use crate::effects::{Applied, ManagementError, QueryNodes};
use crate::model::{
    Balance, LoadedCollection, Management, QueryNode, QueryNodeState, Reason, ReasonKind, Serving,
};

/// A Milvus with three query nodes; a node is gone once the platform was asked for fewer.
struct FakeMilvus {
    cluster: Arc<FakeCluster>,
    clock: Clock,
    state: Mutex<FakeState>,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that can go wrong")]
struct FakeState {
    nodes: BTreeMap<i64, QueryNode>,
    asked: Vec<String>,
    /// What happens to the next calls of this name.
    failures: BTreeMap<&'static str, VecDeque<ManagementError>>,
    never_empties: bool,
    only_shows: bool,
    unqueryable: bool,
    survey_fails: bool,
}

impl FakeMilvus {
    fn on(cluster: &Arc<FakeCluster>, clock: Clock) -> Arc<Self> {
        let node = |at: i64| QueryNode {
            id: 100 + at,
            host: format!("10.0.0.{at}"),
            state: QueryNodeState::Normal,
            segments: 4,
            channels: 1,
        };
        let nodes = (0..3).map(|at| (100 + at, node(at))).collect();
        let state = Mutex::new(FakeState { nodes, ..FakeState::default() });
        Arc::new(Self { cluster: Arc::clone(cluster), clock, state })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, FakeState> {
        self.state.lock().unwrap()
    }

    fn fail(&self, call: &'static str, error: ManagementError) {
        self.state().failures.entry(call).or_default().push_back(error);
    }

    /// Notes the call and lets it fail where it has to.
    fn enter(&self, call: &'static str, node: i64) -> Result<Applied, ManagementError> {
        let mut state = self.state();
        state.asked.push(format!("{call} {node}"));
        if let Some(error) = state.failures.get_mut(call).and_then(VecDeque::pop_front) {
            return Err(error);
        }
        Ok(Applied { applied: !state.only_shows, change: format!("{call} {node}") })
    }

    fn asked(&self) -> Vec<String> {
        let state = self.state();
        let looks = |call: &&String| !call.starts_with("holdings") && !call.starts_with("survey");
        state.asked.iter().filter(looks).cloned().collect()
    }
}

#[async_trait]
impl QueryNodes for FakeMilvus {
    async fn survey(&self, _: Duration) -> Result<Serving, Reason> {
        let _ = self.enter("survey", 0);
        let state = self.state();
        if state.survey_fails {
            return Err(Reason::new(ReasonKind::Timeout, "ShowCollections: no answer"));
        }
        let films = LoadedCollection {
            name: "films".to_owned(),
            percent: 100,
            replicas: 1,
            ..LoadedCollection::default()
        };
        Ok(Serving {
            taken_at: self.clock.now(),
            collections: vec![films],
            nodes: state.nodes.values().cloned().collect(),
            balance: Balance::Idle,
            management: Management::Available,
        })
    }

    async fn suspend(&self, node: i64, _: Duration) -> Result<Applied, ManagementError> {
        let applied = self.enter("suspend", node)?;
        if applied.applied {
            self.state().nodes.get_mut(&node).unwrap().state = QueryNodeState::Suspended;
        }
        Ok(applied)
    }

    async fn resume(&self, node: i64, _: Duration) -> Result<Applied, ManagementError> {
        let applied = self.enter("resume", node)?;
        if let Some(node) = self.state().nodes.get_mut(&node) {
            node.state = QueryNodeState::Normal;
        }
        Ok(applied)
    }

    async fn empty(&self, node: i64, _: Duration) -> Result<Applied, ManagementError> {
        let applied = self.enter("empty", node)?;
        let mut state = self.state();
        if !state.never_empties {
            let node = state.nodes.get_mut(&node).unwrap();
            (node.segments, node.channels) = (0, 0);
        }
        Ok(applied)
    }

    async fn holdings(&self, node: i64, _: Duration) -> Result<Option<QueryNode>, ManagementError> {
        self.enter("holdings", node)?;
        let is_gone = !self.cluster.state().scalings.is_empty();
        Ok(self.state().nodes.get(&node).filter(|_| !is_gone).cloned())
    }

    async fn query_all(&self, _: Duration) -> Result<usize, Reason> {
        let _ = self.enter("query", 0);
        if self.state().unqueryable {
            return Err(Reason::new(ReasonKind::Status, "query of films: code 503"));
        }
        Ok(1)
    }
}

/// A bench whose scaler can ask this Milvus.
fn bench_with_milvus(settings: impl FnOnce(&mut ScalerSettings)) -> (Bench, Arc<FakeMilvus>) {
    let mut chosen = ScalerSettings::default();
    chosen.default.scale_down.stabilization = Duration::ZERO;
    chosen.default.caution.drain_timeout = Duration::from_secs(30);
    settings(&mut chosen);
    let mut bench = Bench::with(chosen);
    let milvus = FakeMilvus::on(&bench.cluster, bench.around.clock);
    begin_anew(&mut bench, &milvus);
    (bench, milvus)
}

fn begin_anew(bench: &mut Bench, milvus: &Arc<FakeMilvus>) {
    bench.actor.abort.abort();
    let links = HashMap::from([(CLUSTER.into(), bench.progress.clone())]);
    let asked: Arc<dyn QueryNodes> = milvus.clone();
    let around = bench.around.clone();
    let actor = Scaler::new(bench.settings.clone(), Arc::clone(&bench.ledger), links, around)
        .with_query_nodes(HashMap::from([(CLUSTER.into(), asked)]));
    bench.actor = exit_guard::start(16, move |_| actor, Box::new(|_| {}));
}

/// Three query nodes with hardly any load and little data.
fn idle(bench: &Bench) -> LoadObserved {
    let mut load = bench.load(3, 5);
    load.0.component = ComponentId::new(CLUSTER, "querynode");
    load.0.role = Role::QueryNode;
    load.0.workloads = vec![workload("querynode", 3)];
    for (at, pod) in load.0.pods.iter_mut().enumerate() {
        pod.ip = Some(format!("10.0.0.{at}"));
        pod.workload = Some(deployment("querynode"));
        pod.limits.memory_bytes = Some(1_000);
    }
    load
}

fn query_nodes() -> ComponentId {
    ComponentId::new(CLUSTER, "querynode")
}

fn is_draining(bench: &Bench) -> bool {
    bench.ledger.lock().unwrap().drain_of(&query_nodes()).is_some()
}

fn holder(bench: &Bench) -> Option<ActionHolder> {
    bench.around.registry.holder(&CLUSTER.into(), &deployment("querynode"))
}

/// Everything that was said, whether or not somebody heard it before the next word.
fn said(bench: &Bench) -> Vec<String> {
    let scaler = bench.around.board.snapshot().scaler.clone();
    scaler.recent.iter().map(|one| one.summary.clone()).collect()
}

fn failed() -> ManagementError {
    ManagementError::Failed { reason: Reason::new(ReasonKind::Timeout, "no answer in time") }
}

#[test]
fn a_query_node_is_emptied_and_its_pod_marked_before_it_goes_and_all_is_queried_afterwards() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        bench.actor.address.do_send(idle(&bench));
        sleep(Duration::from_millis(1)).await;
        assert!(is_draining(&bench) && bench.asked().is_empty());
        assert_eq!(holder(&bench), Some(ActionHolder::Scaler));
        assert_eq!(bench.around.board.snapshot().scaler.drains.len(), 1);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(milvus.asked(), ["suspend 100", "empty 100", "query 0"]);
        let marked: Vec<_> = {
            let state = bench.cluster.state();
            state.preferences.iter().map(|one| (one.pod.to_string(), one.preferred)).collect()
        };
        assert_eq!(marked, [("p-0".to_owned(), true)]);
        assert_eq!(bench.asked(), [(3, 2)]);
        assert!(!is_draining(&bench));
        assert_eq!(holder(&bench), None);
        let words = bench.words();
        assert!(words[0].starts_with("draining query node 100 (pod p-0)"), "{words:?}");
        let last = words.last().unwrap();
        assert!(last.contains("is gone; 1 collections answer queries without it"), "{words:?}");
    });
}

#[test]
fn a_node_that_does_not_become_empty_takes_part_again() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.state().never_empties = true;
        bench.actor.address.do_send(idle(&bench));
        sleep(Duration::from_secs(40)).await;
        assert_eq!(milvus.asked(), ["suspend 100", "empty 100", "resume 100"]);
        assert!(bench.asked().is_empty() && !is_draining(&bench));
        assert_eq!(holder(&bench), None);
        let last = bench.words().pop().unwrap();
        assert!(last.contains("does not go: it was not empty within 30s: 4 segments"), "{last}");
        assert_eq!(bench.cluster.event_reasons(), ["Draining", "DrainAborted"]);
        bench.report(idle(&bench)).await;
        assert_eq!(milvus.asked().len(), 3, "not at once again");
    });
}

#[test]
fn a_node_is_given_back_until_that_has_worked() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.fail("empty", failed());
        for _ in 0..3 {
            milvus.fail("resume", failed());
        }
        bench.actor.address.do_send(idle(&bench));
        sleep(Duration::from_secs(20)).await;
        assert_eq!(milvus.state().nodes[&100].state, QueryNodeState::Normal);
        let resumed = milvus.asked().iter().filter(|call| *call == "resume 100").count();
        assert_eq!(resumed, 4);
        assert!(bench.asked().is_empty() && !is_draining(&bench));
        let words = bench.words();
        assert!(words[0].contains("trying until it is"), "{words:?}");
    });
}

#[test]
fn a_drain_that_was_begun_by_another_falconer_is_undone() {
    in_virtual_time(async {
        let (mut bench, milvus) = bench_with_milvus(|_| {});
        milvus.state().never_empties = true;
        bench.actor.address.do_send(idle(&bench));
        sleep(Duration::from_secs(5)).await;
        // Killed: what was saved is all that is left.
        let saved = bench.ledger.lock().unwrap().export();
        let mut ledger = ScalingLedger::default();
        assert!(ledger.adopt(&saved, bench.around.clock.now()).is_empty());
        bench.ledger = Arc::new(Mutex::new(ledger));
        assert!(is_draining(&bench));
        begin_anew(&mut bench, &milvus);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(milvus.asked(), ["suspend 100", "empty 100", "resume 100"]);
        assert_eq!(milvus.state().nodes[&100].state, QueryNodeState::Normal);
        assert!(bench.asked().is_empty() && !is_draining(&bench));
        let last = bench.words().pop().unwrap();
        assert!(last.contains("it was begun by a falconer that ended"), "{last}");
    });
}

#[test]
fn a_new_incarnation_watches_the_removal_that_the_old_one_began() {
    in_virtual_time(async {
        let (mut bench, milvus) = bench_with_milvus(|_| {});
        let rolling = RolloutStatus::InProgress { message: "on its way".to_owned() };
        bench.cluster.state().rollouts.insert(deployment("querynode"), rolling);
        bench.actor.address.do_send(idle(&bench));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.asked(), [(3, 2)]);
        begin_anew(&mut bench, &milvus);
        sleep(Duration::from_secs(5)).await;
        assert!(is_draining(&bench));
        bench.cluster.state().rollouts.clear();
        sleep(Duration::from_secs(10)).await;
        assert!(!is_draining(&bench));
        assert_eq!(milvus.asked(), ["suspend 100", "empty 100", "query 0"]);
    });
}

#[test]
fn an_incident_ends_a_drain() {
    in_virtual_time(async {
        for which in ["own", "below"] {
            let (bench, milvus) = bench_with_milvus(|_| {});
            milvus.state().never_empties = true;
            bench.report(idle(&bench)).await;
            assert!(is_draining(&bench));
            let mut sick = idle(&bench);
            if which == "own" {
                sick.0.health = HealthState::Unhealthy;
            } else {
                sick.0.sick_below = vec![ComponentId::new(CLUSTER, "etcd")];
            }
            bench.report(sick).await;
            assert!(!is_draining(&bench), "{which}");
            assert_eq!(milvus.state().nodes[&100].state, QueryNodeState::Normal);
            assert!(bench.words().pop().unwrap().contains("unhealthy"), "{:?}", bench.words());
        }
    });
}

#[test]
fn a_load_that_rises_meanwhile_ends_a_drain_and_one_that_only_stops_falling_does_not() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.state().never_empties = true;
        bench.report(idle(&bench)).await;
        let loaded = |percent| {
            let mut load = idle(&bench);
            load.0.usage = bench.load(3, percent).0.usage;
            load
        };
        bench.report(loaded(60)).await;
        assert!(is_draining(&bench), "{:?}", bench.words());
        bench.report(loaded(99)).await;
        assert!(!is_draining(&bench));
        assert_eq!(milvus.state().nodes[&100].state, QueryNodeState::Normal);
        let last = bench.words().pop().unwrap();
        assert!(last.contains("the load has risen meanwhile, and asks for 4 replicas"), "{last}");
    });
}

#[test]
fn the_end_of_falconer_ends_a_drain() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.state().never_empties = true;
        bench.report(idle(&bench)).await;
        bench.actor.address.send(Drain).await.expect("an answer");
        sleep(Duration::from_millis(10)).await;
        assert_eq!(milvus.state().nodes[&100].state, QueryNodeState::Normal);
        assert!(!is_draining(&bench));
    });
}

#[test]
fn where_nodes_cannot_be_managed_one_goes_without_and_that_is_said() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.fail("suspend", ManagementError::Absent { why: "status 403".to_owned() });
        bench.report(idle(&bench)).await;
        assert_eq!(milvus.asked(), ["suspend 100"]);
        assert_eq!(bench.asked(), [(3, 2)]);
        let words = said(&bench);
        assert!(words[0].contains("is not emptied first: status 403"), "{words:?}");
        assert!(!is_draining(&bench));
        assert!(bench.cluster.state().preferences.is_empty());
    });
}

#[test]
fn a_platform_that_does_not_mark_the_pod_gets_no_smaller_number() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        let error = every_cluster_error().into_iter().nth(2).expect("an error");
        bench.cluster.state().answers.push_back(Answer::Fail(error));
        bench.report(idle(&bench)).await;
        assert!(bench.asked().is_empty() && !is_draining(&bench));
        assert_eq!(milvus.asked(), ["suspend 100", "empty 100", "resume 100"]);
        let last = bench.words().pop().unwrap();
        assert!(last.contains("could not be marked to go first"), "{last}");
    });
}

#[test]
fn what_does_not_answer_without_the_node_is_told() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.state().unqueryable = true;
        bench.report(idle(&bench)).await;
        sleep(Duration::from_secs(80)).await;
        assert!(!is_draining(&bench));
        let last = bench.words().pop().unwrap();
        assert!(last.ends_with("not everything answers: query of films: code 503"), "{last}");
    });
}

#[test]
fn a_dry_run_suspends_nothing_and_shows_the_change() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|settings| settings.dry_run = true);
        milvus.state().only_shows = true;
        bench.cluster.state().answers.extend((0..9).map(|_| Answer::Show));
        for _ in 0..5 {
            bench.report(idle(&bench)).await;
        }
        assert_eq!(milvus.asked(), ["suspend 100"]);
        assert_eq!(bench.asked(), [(3, 2)]);
        assert!(bench.cluster.state().preferences.is_empty() && !is_draining(&bench));
        let words = said(&bench);
        assert!(words[0].contains("would drain pod p-0 first"), "{words:?}");
        assert!(words[1].contains("PATCH deployment/milvus-querynode/scale to 2"), "{words:?}");
    });
}

#[test]
fn without_evidence_no_query_node_goes() {
    in_virtual_time(async {
        let (bench, milvus) = bench_with_milvus(|_| {});
        milvus.state().survey_fails = true;
        for _ in 0..3 {
            bench.report(idle(&bench)).await;
        }
        assert!(bench.asked().is_empty() && milvus.asked().is_empty());
        let words = bench.words();
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].contains("stays at 3 replicas, though the load asks for 2"), "{words:?}");
        assert!(words[0].contains("ShowCollections: no answer"), "{words:?}");
        // Nobody to ask is no evidence either.
        let bench = Bench::new();
        bench.report(idle(&bench)).await;
        assert!(bench.asked().is_empty());
        assert!(bench.words()[0].contains("nobody is configured"), "{:?}", bench.words());
    });
}

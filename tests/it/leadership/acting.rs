//! Two real processes before one simulated API, an action under way, and the leader lost in the middle
//! of it. Judged by what the API was asked for: who acted, when, and by which right.

use std::time::Duration;

use falconer::model::{Role, Timestamp};
use falconer::sim::{ApiRequest, ComponentSettings, Fault, Link, Probing, SimSettings, Simulation};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::replicas::Falconer;
use super::{LEASE, PATIENCE};

/// The component that falls sick first, and the one that does afterwards.
const FIRST: &str = "querynode";
const SECOND: &str = "datanode";

/// How far the leader has come with its action when it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It waits for evidence, and nothing has begun.
    Evidence,
    /// It has put on record that it begins.
    Recorded,
    /// It has announced it.
    Announced,
    /// The platform has just taken it.
    Taken,
}

impl Moment {
    /// Whether `request` shows that the leader, behind the first port, has come so far.
    fn is_seen_in(self, request: &ApiRequest) -> bool {
        let shows = match self {
            Self::Evidence => request.subresource == "log",
            Self::Recorded => {
                request.resource == "configmaps" && request.body.contains("under_way")
            }
            Self::Announced => {
                request.resource == "events" && request.body.contains("RolloutRestart")
            }
            Self::Taken => request.is_disruption(),
        };
        request.door == 0 && shows
    }
}

fn simulation() -> Simulation {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roles = [(Role::Proxy, 2), (Role::QueryNode, 2), (Role::DataNode, 2), (Role::IndexNode, 1)];
    let settings = SimSettings {
        components: roles.map(|(role, count)| ComponentSettings::of(role, count)).to_vec(),
        metrics_port: Some(0),
        startup: Duration::from_millis(300),
        termination: Duration::from_millis(200),
        probing: Some(Probing::QUICK),
        api_doors: 2,
        ..SimSettings::default()
    };
    Simulation::start(settings).expect("a simulation")
}

fn configuration(sim: &Simulation, kubeconfig: &str, server: &str, lease: Duration) -> String {
    format!(
        r#"[clusters.milvus]
platform = "kubernetes"
namespace = "{namespace}"
kubeconfig = "{kubeconfig}"
milvus = "{milvus}"
metrics_port = {port}

[probers]
interval = "200ms"
timeout = "150ms"
failure_threshold = 2
success_threshold = 2

[supervisor]
startup_grace = "1ms"

[alerter]
group_wait = "0s"
group_by = ["component"]
group_interval = "500ms"

[alerter.webhook.oncall]
url = "{webhook}"
format = "falconer"

[recoverer]
cooldown = "1s"
verify_timeout = "30s"
evidence_timeout = "1s"

[scaler]
enabled = false

[recorder]
path = ""

[leader_election]
lease_duration = "{lease}s"

[server]
listen = "{server}"
"#,
        namespace = sim.settings().namespace,
        milvus = sim.milvus_url(),
        port = sim.metrics_port(),
        webhook = sim.webhook().url("/alerts"),
        lease = lease.as_secs(),
    )
}

/// A simulation with a leader and a follower before it.
struct Pair {
    sim: Simulation,
    first: Falconer,
    second: Falconer,
}

impl Pair {
    async fn start(lease: Duration) -> Self {
        let sim = simulation();
        assert!(sim.settled(PATIENCE).await, "the pods become ready");
        let begin = |door| {
            Falconer::configured(&sim, door, |sim, kubeconfig, server| {
                configuration(sim, kubeconfig, server, lease)
            })
        };
        let first = begin(0);
        first.becomes("leader").await;
        let second = begin(1);
        second.becomes("follower").await;
        first.is_ready().await;
        second.is_ready().await;
        Self { sim, first, second }
    }

    /// Makes the first component sick, and waits until the leader has come to `moment` with it.
    async fn act_until(&self, moment: Moment) {
        if moment == Moment::Evidence {
            self.sim.inject(Fault::EvidenceHangs).expect("a fault");
        }
        self.fall_sick(FIRST);
        let seen = self.sim.api_requests().wait_for(PATIENCE, |one| moment.is_seen_in(one)).await;
        assert!(seen.is_some(), "{moment:?} never comes\n{}", self.first.log());
    }

    fn fall_sick(&self, component: &str) {
        self.sim.inject(Fault::Component500 { component: component.into() }).expect("a fault");
    }

    /// Waits until the newest message about `component` says that all is well.
    async fn until_resolved(&self, component: &str) {
        let is_resolved = || {
            let all = self.sim.webhook().requests().all().into_iter().filter_map(|one| one.json());
            let ours: Vec<Value> =
                all.filter(|one| one["alerts"][0]["component"]["component"] == component).collect();
            let newest = ours.last();
            newest.is_some_and(|one| one["status"] == "resolved")
        };
        let waiting = async {
            while !is_resolved() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{component} does not recover\n{}", self.second.log());
    }

    /// When the second one took the lease.
    async fn taken_over_at(&self) -> Timestamp {
        let takes = |one: &ApiRequest| holder(one).is_some_and(|holder| holder == "falconer-1");
        let taken = self.sim.api_requests().wait_for(PATIENCE, takes).await;
        taken.expect("the second one takes the lease").at
    }

    /// What disturbed a workload so far.
    fn disruptions(&self) -> Vec<ApiRequest> {
        self.sim.api_requests().matching(ApiRequest::is_disruption)
    }

    /// Nothing was done twice, and whoever did something held the lease then: for as long as it had
    /// promised since it renewed it last.
    fn judge(&self) {
        let disruptions = self.disruptions();
        let words: Vec<String> = disruptions
            .iter()
            .map(|one| format!("{} door {} {} {}", one.at, one.door, one.verb, one.path))
            .collect();
        for component in [FIRST, SECOND] {
            let times = disruptions.iter().filter(|one| one.name.contains(component)).count();
            assert!(times <= 1, "{component} is restarted {times} times: {words:#?}");
        }
        let leases = self.sim.api_requests().matching(|one| holder(one).is_some());
        for deed in &disruptions {
            let answered = deed.answered_at.unwrap_or(deed.at);
            let newest = leases.iter().rev().find(|lease| lease.at <= answered);
            let newest = newest.expect("somebody leads");
            assert_eq!(newest.door, deed.door, "another one leads by then: {words:#?}");
            let promised = promise(newest);
            assert!(answered.since(newest.at) < promised, "its lease had run out: {words:#?}");
        }
    }
}

/// Whom a request makes the holder of the lease.
fn holder(request: &ApiRequest) -> Option<String> {
    let writes = request.resource == "leases" && request.is_write();
    let body: Value = serde_json::from_str(&request.body).ok().filter(|_| writes)?;
    body["spec"]["holderIdentity"].as_str().map(str::to_owned)
}

/// How long its writer may be silent.
fn promise(request: &ApiRequest) -> Duration {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    Duration::from_secs(body["spec"]["leaseDurationSeconds"].as_u64().unwrap_or_default())
}

/// Kills the leader at `moment`; the other one brings the matter to its end, once.
async fn killed(lease: Duration, moment: Moment) -> Value {
    let pair = Pair::start(lease).await;
    pair.act_until(moment).await;
    let (killed, killed_at) = (Instant::now(), pair.sim.clock().now());
    pair.first.signal(Signal::SIGKILL);
    let before = pair.disruptions().len();
    let lease_after = pair.taken_over_at().await.since(killed_at);
    pair.second.becomes("leader").await;
    if moment == Moment::Evidence {
        pair.sim.heal();
        // What was sick is well again with that, and falls sick anew.
        pair.fall_sick(FIRST);
    }
    pair.until_resolved(FIRST).await;
    let resolved_after = killed.elapsed();
    pair.judge();
    let deeds = pair.disruptions();
    assert_eq!(deeds.len(), 1, "{deeds:#?}");
    json!({"leader": "killed", "moment": format!("{moment:?}"), "lease_duration_s": lease.as_secs(),
        "done_before": before, "done_by": deeds[0].door,
        "failover_s": lease_after.as_secs_f64(), "resolved_after_s": resolved_after.as_secs_f64()})
}

/// Cuts the leader off at `moment`; it stops, the other one brings the matter to its end, and the
/// first one does nothing when it is back.
async fn cut_off(moment: Moment, link: Link) -> Value {
    let pair = Pair::start(LEASE).await;
    pair.act_until(moment).await;
    pair.sim.inject(Fault::ApiLink { door: 0, link }).expect("a fault");
    let cut_at = pair.sim.clock().now();
    while pair.first.leadership().await["state"] == "leader" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stopped_at = pair.sim.clock().now();
    let taken_at = pair.taken_over_at().await;
    assert!(stopped_at <= taken_at, "{stopped_at} {taken_at}");
    pair.second.becomes("leader").await;
    // The first one sees sickness all the same: the pods are not behind the API.
    pair.until_resolved(FIRST).await;
    pair.fall_sick(SECOND);
    pair.until_resolved(SECOND).await;
    pair.sim.inject(Fault::ApiLink { door: 0, link: Link::Up }).expect("an end");
    pair.first.becomes("follower").await;
    // What it had wanted to do would come about now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.judge();
    let deeds = pair.disruptions();
    assert_eq!(deeds.len(), 2, "{deeds:#?}");
    assert!(deeds.iter().all(|one| one.door == 1 || one.at <= cut_at), "{deeds:#?}");
    json!({"leader": format!("{link:?}"), "moment": format!("{moment:?}"),
        "stopped_after_s": stopped_at.since(cut_at).as_secs_f64(),
        "stopped_before_the_other_s": taken_at.since(stopped_at).as_secs_f64(),
        "failover_s": taken_at.since(cut_at).as_secs_f64()})
}

#[tokio::test]
async fn a_leader_killed_in_the_middle_of_an_action_is_followed_by_one_that_does_it_once() {
    for moment in [Moment::Evidence, Moment::Recorded, Moment::Announced, Moment::Taken] {
        println!("{}", killed(LEASE, moment).await);
    }
}

#[tokio::test]
async fn a_leader_cut_off_in_the_middle_of_an_action_stops_before_the_other_does_it_once() {
    let cases = [
        (Moment::Recorded, Link::Silent),
        (Moment::Announced, Link::Silent),
        (Moment::Taken, Link::Refused),
    ];
    for (moment, link) in cases {
        println!("{}", cut_off(moment, link).await);
    }
}

#[tokio::test]
async fn with_the_usual_lease_the_other_one_acts_within_its_duration() {
    println!("{}", killed(Duration::from_secs(15), Moment::Announced).await);
}

//! Candidates in an election by a Lease of the simulated API, each behind a port of its own: one
//! leads, and at no instant two may act, whatever happens to the network and to the Lease.

mod acting;
mod replicas;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use falconer::actors::leadership::LeadershipHandle;
use falconer::actors::status::StatusBoard;
use falconer::app::election::{Election, Told};
use falconer::clock::Clock;
use falconer::effects::cluster::kube::lease::KubeLease;
use falconer::effects::cluster::kube::{ClientSource, Place};
use falconer::metrics::Metrics;
use falconer::model::{Leadership, Role};
use falconer::policy::leadership::ElectionSettings;
use falconer::sim::{
    AccessRule, ApiFault, ComponentSettings, Fault, Link, SimSettings, Simulation,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

fn simulation() -> Simulation {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = SimSettings {
        components: vec![ComponentSettings::of(Role::Proxy, 1)],
        metrics_port: Some(0),
        api_doors: 3,
        ..SimSettings::default()
    };
    Simulation::start(settings).expect("a simulation")
}

/// An object of falconer's own, reached through the port `door`.
fn place(sim: &Simulation, door: usize, name: &str) -> Place {
    let url = sim.api_urls()[door].parse().expect("a url");
    Place {
        source: ClientSource::Explicit(Box::new(::kube::Config::new(url))),
        namespace: sim.settings().namespace.as_str().into(),
        name: name.into(),
        request: LEASE / 5,
    }
}

struct Candidate {
    election: Election,
    handle: LeadershipHandle,
    board: StatusBoard,
    clock: Clock,
}

impl Candidate {
    fn start(sim: &Simulation, door: usize) -> Self {
        Self::by(place(sim, door, "falconer"), &format!("falconer-{door}"))
    }

    fn by(place: Place, identity: &str) -> Self {
        let (board, clock) = (StatusBoard::default(), Clock::system());
        let told = Told { board: board.clone(), clock, metrics: Metrics::default() };
        let settings = ElectionSettings { identity: identity.into(), lease_duration: LEASE };
        let election = Election::by(Arc::new(KubeLease::new(place)), settings, told);
        Self { handle: election.handle(), election, board, clock }
    }

    fn may_act(&self) -> bool {
        self.handle.covers(self.clock.now(), Duration::ZERO).is_ok()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Leadership) -> bool) -> Leadership {
        let waiting = async {
            loop {
                let current = self.handle.current();
                if wanted(&current) {
                    return current;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("{what}: {:?}", self.handle.current()))
    }

    async fn leads(&self) -> Leadership {
        self.until("it leads", |one| matches!(one, Leadership::Leader { .. })).await
    }

    async fn follows(&self, whom: &str) {
        let follows = |one: &Leadership| matches!(one, Leadership::Follower { leader: Some(leader), .. } if **leader == *whom);
        self.until(&format!("it follows {whom}"), follows).await;
    }
}

/// Looks all the time how many may act.
struct Referee {
    most: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Referee {
    fn watching(candidates: &[&Candidate]) -> Self {
        let most = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        let all: Vec<_> = candidates.iter().map(|one| (one.handle.clone(), one.clock)).collect();
        let task = tokio::spawn(async move {
            loop {
                let act = all
                    .iter()
                    .filter(|(handle, clock)| handle.covers(clock.now(), Duration::ZERO).is_ok());
                seen.fetch_max(act.count(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self { most, task }
    }

    fn saw_never_two(self) {
        self.task.abort();
        assert_eq!(self.most.load(Ordering::Relaxed), 1, "at most one may act, and one did");
    }
}

fn lease_url(sim: &Simulation) -> String {
    let namespace = &sim.settings().namespace;
    format!("{}/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", sim.api_url())
}

async fn lease(sim: &Simulation) -> Value {
    let answer = reqwest::get(format!("{}/falconer", lease_url(sim))).await.expect("an answer");
    answer.json().await.expect("an object")
}

async fn patch_lease(sim: &Simulation, patch: Value) {
    let request = reqwest::Client::new()
        .patch(format!("{}/falconer", lease_url(sim)))
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string());
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test]
async fn when_the_leader_is_killed_the_other_takes_over_after_the_lease_has_run_out() {
    let sim = simulation();
    let first = Candidate::start(&sim, 0);
    first.leads().await;
    let second = Candidate::start(&sim, 1);
    second.follows("falconer-0").await;
    let lease_before = lease(&sim).await;
    assert_eq!(lease_before["spec"]["holderIdentity"], "falconer-0");
    assert_eq!(lease_before["spec"]["leaseDurationSeconds"], 2);

    let referee = Referee::watching(&[&first, &second]);
    // Killed: it renews no more, and nobody tells anybody.
    let Candidate { election, handle, clock, .. } = first;
    drop(election);
    let killed = clock.monotonic();
    second.leads().await;
    let failover = killed.elapsed();
    assert!(handle.covers(clock.now(), Duration::ZERO).is_err(), "the dead one's time is over");
    referee.saw_never_two();
    assert_eq!(lease(&sim).await["spec"]["leaseTransitions"], 1);
    println!(
        "{}",
        json!({"lease_duration_s": LEASE.as_secs_f64(), "failover_s": failover.as_secs_f64()})
    );
}

#[tokio::test]
async fn who_ends_in_order_gives_the_lease_up_and_the_other_leads_at_once() {
    let sim = simulation();
    let first = Candidate::start(&sim, 0);
    first.leads().await;
    let second = Candidate::start(&sim, 1);
    second.follows("falconer-0").await;
    let referee = Referee::watching(&[&first, &second]);
    first.election.resign(PATIENCE).await;
    assert!(first.handle.covers(first.clock.now(), Duration::ZERO).is_err());
    let written = lease(&sim).await["spec"]["holderIdentity"].clone();
    assert!(written.is_null() || written == "falconer-1", "{written}");
    second.leads().await;
    referee.saw_never_two();
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_the_other_starts_and_follows_when_it_is_back() {
    for link in [Link::Silent, Link::Refused] {
        let sim = simulation();
        let first = Candidate::start(&sim, 0);
        first.leads().await;
        let second = Candidate::start(&sim, 1);
        second.follows("falconer-0").await;
        let referee = Referee::watching(&[&first, &second]);
        sim.inject(Fault::ApiLink { door: 0, link }).expect("a fault");
        second.leads().await;
        let cut_off = first.handle.current();
        // It cannot know about the other one, and people are better told twice than never.
        assert!(matches!(cut_off, Leadership::Unknown { speaks: true, .. }), "{cut_off:?}");
        sim.inject(Fault::ApiLink { door: 0, link: Link::Up }).expect("an end");
        first.follows("falconer-1").await;
        referee.saw_never_two();
    }
}

#[tokio::test]
async fn while_the_api_hangs_nobody_acts_and_the_former_leader_tells_people() {
    let sim = simulation();
    let first = Candidate::start(&sim, 0);
    first.leads().await;
    let second = Candidate::start(&sim, 1);
    second.follows("falconer-0").await;
    let referee = Referee::watching(&[&first, &second]);
    for fault in [ApiFault::Hang, ApiFault::Unavailable] {
        sim.inject(Fault::KubernetesApi(fault)).expect("a fault");
        let is_unknown = |one: &Leadership| matches!(one, Leadership::Unknown { .. });
        let former = first.until("nothing is known", is_unknown).await;
        assert!(matches!(former, Leadership::Unknown { speaks: true, .. }), "{former:?}");
        let other = second.until("nothing is known", is_unknown).await;
        assert!(matches!(other, Leadership::Unknown { speaks: false, .. }), "{other:?}");
        assert!(!first.may_act() && !second.may_act());
        sim.heal();
        first.until("one leads", |_| first.may_act() || second.may_act()).await;
        if second.may_act() {
            break;
        }
        second.follows("falconer-0").await;
    }
    referee.saw_never_two();
}

#[tokio::test]
async fn a_storm_of_changes_by_others_costs_the_leadership_at_most_and_ends_with_it() {
    let sim = Arc::new(simulation());
    let first = Candidate::start(&sim, 0);
    first.leads().await;
    let second = Candidate::start(&sim, 1);
    second.follows("falconer-0").await;
    let referee = Referee::watching(&[&first, &second]);
    let goes_on = Arc::new(AtomicBool::new(true));
    let storms: Vec<_> = (0..4)
        .map(|storm| {
            let (sim, goes_on) = (Arc::clone(&sim), Arc::clone(&goes_on));
            tokio::spawn(async move {
                let mut count = 0_u64;
                while goes_on.load(Ordering::Relaxed) {
                    count += 1;
                    let mark =
                        json!({"metadata": {"annotations": {"storm": format!("{storm}/{count}")}}});
                    patch_lease(&sim, mark).await;
                }
            })
        })
        .collect();
    let before =
        sim.api_requests().matching(|request| request.door > 0 || request.verb == "update");
    tokio::time::sleep(LEASE).await;
    goes_on.store(false, Ordering::Relaxed);
    for storm in storms {
        storm.await.expect("a storm ends");
    }
    let after = sim.api_requests().matching(|request| request.door > 0 || request.verb == "update");
    assert!(after.len() - before.len() < 100, "conflicts are not answered with a storm");
    first.until("one leads", |_| first.may_act() || second.may_act()).await;
    referee.saw_never_two();
    // What others wrote into the object is still there.
    assert!(lease(&sim).await["metadata"]["annotations"]["storm"].is_string());
}

#[tokio::test]
async fn a_lease_that_somebody_deletes_or_fills_with_nonsense_never_makes_two_leaders() {
    let sim = simulation();
    let first = Candidate::start(&sim, 0);
    first.leads().await;
    let second = Candidate::start(&sim, 1);
    second.follows("falconer-0").await;
    let referee = Referee::watching(&[&first, &second]);
    let deleted = reqwest::Client::new().delete(format!("{}/falconer", lease_url(&sim)));
    assert!(deleted.send().await.expect("an answer").status().is_success());
    first.until("it made the lease again", |_| first.may_act()).await;
    tokio::time::sleep(LEASE).await;
    let nonsense = json!({"spec": {"holderIdentity": "x".repeat(100_000),
        "leaseDurationSeconds": 1, "leaseTransitions": i32::MAX, "renewTime": null}});
    patch_lease(&sim, nonsense).await;
    let is_taken = async {
        while !lease(&sim).await["spec"]["holderIdentity"]
            .as_str()
            .is_some_and(|one| one.starts_with("falconer"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_taken).await.expect("one of the two takes it");
    first.until("one leads", |_| first.may_act() || second.may_act()).await;
    referee.saw_never_two();
}

#[tokio::test]
async fn a_lease_that_is_not_understood_is_told_in_words() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for garbage in [
        r#"{"metadata":{"name":"falconer","resourceVersion":"1"},"spec":{"renewTime":"yesterday"}}"#,
        r#"{"metadata":{"name":"falconer"},"spec":{"holderIdentity":"a"}}"#,
        "[[[[",
    ] {
        let answer = ([("content-type", "application/json")], garbage);
        let router = axum::Router::new().fallback(move || async move { answer });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let place = Place {
            source: ClientSource::Explicit(Box::new(::kube::Config::new(
                url.parse().expect("a url"),
            ))),
            namespace: "n".into(),
            name: "falconer".into(),
            request: LEASE / 5,
        };
        let candidate = Candidate::by(place, "a");
        let told = |one: &Leadership| matches!(one, Leadership::Unknown { why, .. } if why.contains("lease/falconer in n"));
        candidate.until("it is told why", told).await;
        assert!(!candidate.may_act());
        server.abort();
    }
}

#[tokio::test]
async fn without_the_right_to_the_lease_nobody_acts_and_the_status_says_what_to_grant() {
    let sim = simulation();
    sim.enforce_access(Some(Vec::new()));
    let candidate = Candidate::start(&sim, 0);
    let forbidden = |one: &Leadership| matches!(one, Leadership::Unknown { why, .. } if why.contains("forbidden"));
    candidate.until("it is told why", forbidden).await;
    assert!(!candidate.may_act() && candidate.handle.speaks().is_err());
    let shown = serde_json::to_value(candidate.board.actors().leadership).expect("JSON");
    assert_eq!((&shown["state"], &shown["identity"]), (&json!("unknown"), &json!("falconer-0")));
    let why = shown["why"].as_str().expect("words");
    assert!(why.contains("lease/falconer in milvus-ha: forbidden"), "{why}");
    // After three lease durations nobody can be relied on to tell people.
    candidate
        .until("it speaks", |one| matches!(one, Leadership::Unknown { speaks: true, .. }))
        .await;
    assert!(!candidate.may_act());
    let all = || vec!["*".to_owned()];
    let rule = AccessRule { groups: all(), resources: all(), verbs: all(), names: Vec::new() };
    sim.enforce_access(Some(vec![rule]));
    candidate.leads().await;
}

//! The essential state in a ConfigMap: what survives, and who may write it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::kube::state_map::KubeStateMap;
use falconer::effects::{StateError, StateStore};
use falconer::model::Leadership;
use falconer::sim::{ApiFault, Fault, Simulation};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{LEASE, place, simulation};

type Changes = BTreeMap<String, Option<String>>;

/// A falconer's store, and what it is told of its leadership.
fn store(
    sim: &Simulation,
    name: &str,
    leadership: Leadership,
) -> (Arc<KubeStateMap>, watch::Sender<Leadership>, Clock) {
    let clock = Clock::system();
    let (told, newest) = watch::channel(leadership);
    let place = place(sim, 0, "falconer-state");
    (KubeStateMap::start(place, name.into(), newest, clock), told, clock)
}

fn leader_at(clock: Clock) -> Leadership {
    Leadership::Leader { since: clock.now(), until: clock.now() + Duration::from_secs(60) }
}

fn changes(pairs: &[(&str, Option<&str>)]) -> Changes {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
}

fn url(sim: &Simulation) -> String {
    let namespace = &sim.settings().namespace;
    format!("{}/api/v1/namespaces/{namespace}/configmaps/falconer-state", sim.api_url())
}

async fn map(sim: &Simulation) -> Value {
    let answer = reqwest::get(url(sim)).await.expect("an answer");
    answer.json().await.expect("an object")
}

fn writes(sim: &Simulation) -> usize {
    sim.api_requests().matching(|one| one.resource == "configmaps" && one.is_write()).len()
}

#[tokio::test]
async fn what_was_saved_is_there_for_the_next_one_and_only_what_changes_is_written() {
    let sim = simulation();
    let (first, ..) = store(&sim, "a", Leadership::Standalone);
    assert_eq!(first.load().await, Ok(BTreeMap::new()));
    let key = "recovery/milvus-ha/proxy";
    first.save(&changes(&[(key, Some("{\"n\":1}")), ("breaker/x", Some("open"))])).await.unwrap();
    let before = writes(&sim);
    first.save(&changes(&[(key, Some("{\"n\":1}")), ("nothing", None)])).await.unwrap();
    assert_eq!(writes(&sim), before, "nothing has changed");
    first.save(&changes(&[("breaker/x", None)])).await.unwrap();
    let newest = sim.api_requests().all().into_iter().rfind(|one| one.verb == "patch").unwrap();
    let body: Value = serde_json::from_str(&newest.body).unwrap();
    assert_eq!(body["data"], json!({"breaker.x": null}));
    assert_eq!(map(&sim).await["data"], json!({"recovery.milvus-ha.proxy": "{\"n\":1}"}));

    let (second, ..) = store(&sim, "b", Leadership::Standalone);
    let found = second.load().await.unwrap();
    assert_eq!(found, BTreeMap::from([(key.to_owned(), "{\"n\":1}".to_owned())]));
}

#[tokio::test]
async fn a_leader_that_was_deposed_is_refused_even_if_it_does_not_know() {
    let sim = simulation();
    let (first, told, clock) = store(&sim, "a", Leadership::Standalone);
    told.send_replace(leader_at(clock));
    first.load().await.unwrap();
    first.save(&changes(&[("k", Some("a"))])).await.unwrap();

    let (second, _told, _) = store(&sim, "b", leader_at(Clock::system()));
    second.load().await.unwrap();
    // The first one still believes that it leads.
    let refused = first.save(&changes(&[("k", Some("stale"))])).await.unwrap_err();
    assert!(
        matches!(&refused, StateError::Fenced { why, .. } if why.contains("\"b\"")),
        "{refused}"
    );
    assert!(!refused.is_retryable());
    second.save(&changes(&[("k", Some("b"))])).await.unwrap();
    assert_eq!(map(&sim).await["data"]["k"], "b");
    assert_eq!(map(&sim).await["metadata"]["annotations"]["falconer.io/epoch"], "2");

    // Another term of office begins with another look.
    told.send_replace(leader_at(clock));
    assert!(matches!(
        first.save(&changes(&[("k", Some("blind"))])).await,
        Err(StateError::Fenced { .. })
    ));
    assert_eq!(first.load().await.unwrap()["k"], "b");
    first.save(&changes(&[("k", Some("a again"))])).await.unwrap();
    assert_eq!(map(&sim).await["data"]["k"], "a again");
}

#[tokio::test]
async fn who_does_not_lead_reads_and_never_writes() {
    let sim = simulation();
    let (leader, ..) = store(&sim, "a", Leadership::Standalone);
    leader.load().await.unwrap();
    leader.save(&changes(&[("k", Some("v"))])).await.unwrap();
    let before = writes(&sim);
    let clock = Clock::system();
    let ends = Leadership::Leader { since: clock.now(), until: clock.now() + LEASE / 10 };
    let unknown = Leadership::Unknown { why: "so".into(), since: clock.now(), speaks: true };
    let follower = Leadership::Follower { leader: Some("a".into()), since: clock.now() };
    for leadership in [follower, unknown, ends] {
        let (other, ..) = store(&sim, "b", leadership.clone());
        assert_eq!(other.load().await.unwrap()["k"], "v");
        let refused = other.save(&changes(&[("k", Some("w"))])).await;
        assert!(matches!(refused, Err(StateError::Fenced { .. })), "{leadership:?}: {refused:?}");
    }
    assert_eq!(writes(&sim), before);
}

#[tokio::test]
async fn what_a_person_changes_or_deletes_costs_nothing() {
    let sim = simulation();
    let (store, ..) = store(&sim, "a", Leadership::Standalone);
    store.load().await.unwrap();
    store.save(&changes(&[("kept", Some("1"))])).await.unwrap();
    let client = reqwest::Client::new();
    let patched =
        client.patch(url(&sim)).header("content-type", "application/merge-patch+json").body(
            json!({"data": {"note.": "by hand"}, "metadata": {"labels": {"a": "b"}}}).to_string(),
        );
    assert!(patched.send().await.unwrap().status().is_success());
    store.save(&changes(&[("more", Some("2"))])).await.unwrap();
    let now = map(&sim).await;
    assert_eq!(now["data"], json!({"kept": "1", "more": "2", "note.": "by hand"}));
    assert!(client.delete(url(&sim)).send().await.unwrap().status().is_success());
    store.save(&changes(&[("more", None), ("new", Some("3"))])).await.unwrap();
    let now = map(&sim).await;
    assert_eq!((&now["data"]["kept"], &now["data"]["new"]), (&json!("1"), &json!("3")));
}

#[tokio::test]
async fn too_much_is_refused_and_costs_no_other_change() {
    let sim = simulation();
    let (store, ..) = store(&sim, "a", Leadership::Standalone);
    store.load().await.unwrap();
    let large = "x".repeat(950 << 10);
    let (too_much, no_key) = (changes(&[("k", Some(&large))]), "/".repeat(300));
    let no_key = changes(&[(&no_key, Some("v"))]);
    let good: Vec<Changes> =
        (0..20).map(|number| changes(&[(&format!("good/{number}"), Some("v"))])).collect();
    let before = writes(&sim);
    let all = futures::future::join_all(good.iter().map(|one| store.save(one)));
    let (all, large, no_key) = tokio::join!(all, store.save(&too_much), store.save(&no_key));
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let why = large.unwrap_err().to_string();
    assert!(why.contains("more than 921600"), "{why}");
    assert!(matches!(no_key, Err(StateError::Refused { .. })), "{no_key:?}");
    assert_eq!(store.load().await.unwrap().len(), 20);
    assert!(writes(&sim) - before < 25, "{}", writes(&sim) - before);
}

#[tokio::test]
async fn an_api_that_does_not_answer_or_forbids_is_told_in_time() {
    let sim = simulation();
    let (store, ..) = store(&sim, "a", Leadership::Standalone);
    store.load().await.unwrap();
    sim.inject(Fault::KubernetesApi(ApiFault::Hang)).unwrap();
    let error = store.save(&changes(&[("k", Some("v"))])).await.unwrap_err();
    assert!(matches!(error, StateError::Timeout { .. }) && error.is_retryable(), "{error}");
    sim.heal();
    store.save(&changes(&[("k", Some("v"))])).await.unwrap();
    sim.enforce_access(Some(Vec::new()));
    let error = store.save(&changes(&[("k", Some("w"))])).await.unwrap_err();
    assert!(matches!(error, StateError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("configmap/falconer-state in milvus-ha"), "{error}");
}

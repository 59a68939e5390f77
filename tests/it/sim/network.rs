//! Outages of the API, networks that are cut, and the log of requests that tells of them.

use std::time::Duration;

use falconer::sim::{ApiFault, Fault, Link, SimSettings, Simulation};
use serde_json::json;

use super::{eventually, settings, settled};

const PODS: &str = "/api/v1/namespaces/milvus-ha/pods";

async fn two_doors() -> (Simulation, [reqwest::Client; 2]) {
    let sim = settled(SimSettings { api_doors: 2, ..settings() }).await;
    let client = |name: &'static str| {
        let client = reqwest::Client::builder().timeout(Duration::from_millis(500));
        client.user_agent(name).build().expect("a client")
    };
    (sim, [client("first"), client("second")])
}

/// The status, or `None` where there is no answer in time.
async fn ask(sim: &Simulation, client: &reqwest::Client, door: usize) -> Option<u16> {
    let url = format!("{}{PODS}?limit=1", sim.api_urls()[door]);
    Some(client.get(url).send().await.ok()?.status().as_u16())
}

/// Whether the first port answers again; the listener needs a moment.
async fn answers(sim: &Simulation, client: &reqwest::Client) -> bool {
    for _ in 0..50 {
        if ask(sim, client, 0).await == Some(200) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn one_client_is_cut_off_while_the_other_goes_on() {
    let (sim, [first, second]) = two_doors().await;
    assert_eq!(sim.api_urls().len(), 2);
    assert_eq!((ask(&sim, &first, 0).await, ask(&sim, &second, 1).await), (Some(200), Some(200)));
    for link in [Link::Silent, Link::Refused] {
        sim.inject(Fault::ApiLink { door: 0, link }).expect("there");
        assert_eq!(ask(&sim, &first, 0).await, None, "{link:?}");
        assert_eq!(ask(&sim, &second, 1).await, Some(200), "{link:?}");
        sim.inject(Fault::ApiLink { door: 0, link: Link::Up }).expect("there");
        assert!(answers(&sim, &first).await, "after {link:?}");
    }
    assert!(sim.inject(Fault::ApiLink { door: 2, link: Link::Up }).is_err());
    let seen = sim.api_requests().matching(|request| request.door == 0);
    assert!(seen.iter().any(|request| request.user_agent == "first"), "{seen:?}");
    assert!(seen.iter().all(|request| request.user_agent != "second"), "{seen:?}");
}

#[tokio::test]
async fn what_is_sent_into_a_silent_network_is_lost_for_good() {
    let (sim, [first, _]) = two_doors().await;
    let pod = sim.pods("querynode").remove(0);
    assert_eq!(ask(&sim, &first, 0).await, Some(200), "the connection is open");
    sim.inject(Fault::ApiLink { door: 0, link: Link::Silent }).expect("there");
    let url = format!("{}{PODS}/{}", sim.api_urls()[0], pod.name);
    assert!(first.delete(url).send().await.is_err());
    sim.heal();
    assert!(answers(&sim, &first).await);
    let deleted = sim.api_requests().first(|request| request.verb == "delete");
    assert_eq!(deleted, None, "it has never arrived");
    assert!(sim.pods("querynode").iter().any(|other| other.uid == pod.uid && !other.terminating));
}

#[tokio::test]
async fn a_watch_breaks_with_its_network_and_not_with_that_of_others() {
    let (sim, _) = two_doors().await;
    let watch = |door: usize| {
        let url = format!("{}{PODS}?watch=true&resourceVersion=0", sim.api_urls()[door]);
        async move { reqwest::get(url).await.expect("the watch starts") }
    };
    let (mut cut, mut whole) = (watch(0).await, watch(1).await);
    assert!(cut.chunk().await.expect("a chunk").is_some());
    assert!(whole.chunk().await.expect("a chunk").is_some());
    sim.inject(Fault::ApiLink { door: 0, link: Link::Refused }).expect("there");
    let broken = async { while let Ok(Some(_)) = cut.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(5), broken).await.expect("the watch breaks");
    let more = async {
        while whole.chunk().await.expect("goes on").is_some() {
            if sim.pods("proxy").iter().any(|pod| pod.terminating) {
                return;
            }
        }
    };
    let url = format!("{}{PODS}/{}", sim.api_urls()[1], sim.pods("proxy")[0].name);
    reqwest::Client::new().delete(url).send().await.expect("answers");
    tokio::time::timeout(Duration::from_secs(5), more).await.expect("the other watch tells");
}

#[tokio::test]
async fn an_outage_ends_when_its_time_is_over() {
    let (sim, [first, second]) = two_doors().await;
    for (fault, expected) in [
        (ApiFault::Unavailable, Some(503)),
        (ApiFault::InternalError, Some(500)),
        (ApiFault::Hang, None),
        (ApiFault::Refused, None),
    ] {
        let lasts = Duration::from_secs(1);
        sim.inject(Fault::ApiOutage { fault, lasts }).expect("possible");
        assert_eq!(ask(&sim, &first, 0).await, expected, "{fault:?}");
        tokio::time::sleep(lasts + Duration::from_millis(200)).await;
        assert!(answers(&sim, &first).await, "after {fault:?}");
        assert_eq!(ask(&sim, &second, 1).await, Some(200), "after {fault:?}");
    }
}

#[tokio::test]
async fn evidence_can_hang_while_everything_else_is_answered() {
    let (sim, [first, _]) = two_doors().await;
    sim.inject(Fault::EvidenceHangs).expect("possible");
    let pod = sim.pods("proxy").remove(0).name;
    for path in [format!("{PODS}/{pod}/log"), PODS.replace("pods", "events")] {
        let asked = first.get(format!("{}{path}", sim.api_url())).send().await;
        assert!(asked.is_err(), "{path}");
    }
    assert_eq!(ask(&sim, &first, 0).await, Some(200));
}

#[tokio::test]
async fn the_log_tells_who_did_what_to_which_object_and_when() {
    let (sim, [_, second]) = two_doors().await;
    let pod = sim.pods("querynode").remove(0);
    sim.api_requests().clear();
    let url = format!("{}{PODS}/{}/eviction", sim.api_urls()[1], pod.name);
    let eviction = json!({"kind": "Eviction", "metadata": {"name": pod.name}}).to_string();
    for (query, dry_run) in [("?dryRun=All", true), ("", false)] {
        let request = second.post(format!("{url}{query}")).body(eviction.clone());
        let request = request.header("content-type", "application/json");
        assert_eq!(request.send().await.expect("answers").status(), 201);
        let found = sim.api_requests().first(|request| request.dry_run == dry_run);
        let found = found.expect("an entry");
        assert_eq!(
            (found.verb, found.group, found.resource, found.subresource.as_str()),
            ("create", "", "pods", "eviction")
        );
        assert_eq!((found.namespace.as_str(), found.name.as_str()), ("milvus-ha", &*pod.name));
        assert_eq!((found.door, found.user_agent.as_str(), found.status), (1, "second", 201));
        assert!(found.client.is_some() && found.answered_at >= Some(found.at));
        assert_eq!((found.is_write(), found.is_disruption()), (!dry_run, !dry_run));
    }
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "milvus-ha"}});
    let events = format!("{}{}", sim.api_url(), PODS.replace("pods", "events"));
    let request = second.post(events).header("content-type", "application/json");
    assert_eq!(request.body(event.to_string()).send().await.expect("answers").status(), 201);
    eventually("both are logged", || sim.api_requests().len() >= 3).await;
    let disruptions = sim.api_requests().matching(falconer::sim::ApiRequest::is_disruption);
    assert_eq!(disruptions.len(), 1, "an event disturbs nobody");
}

//! Logs of pods.

use falconer::model::Role;
use falconer::sim::{Breakage, ComponentSettings, Fault, SimSettings, Simulation};
use serde_json::{Value, json};

use super::{eventually, send, settings, settled};

async fn log(sim: &Simulation, pod: &str, query: &str) -> (u16, String) {
    let path = format!("/api/v1/namespaces/milvus-ha/pods/{pod}/log{query}");
    let response = reqwest::get(format!("{}{path}", sim.api_url())).await.expect("answers");
    (response.status().as_u16(), response.text().await.expect("text"))
}

fn message(body: &str) -> String {
    let status: Value = serde_json::from_str(body).expect("a Status");
    status["message"].as_str().expect("a message").to_owned()
}

async fn index_node() -> Simulation {
    let components = vec![ComponentSettings::of(Role::IndexNode, 1)];
    settled(SimSettings { components, ..settings() }).await
}

#[tokio::test]
async fn a_log_is_given_by_lines_bytes_and_age() {
    let sim = index_node().await;
    let pod = sim.pods("indexnode").remove(0).name;
    let (code, all) = log(&sim, &pod, "").await;
    assert_eq!(code, 200);
    assert!(all.contains("starting running Milvus components"), "{all}");
    let last = all.lines().last().expect("a line");
    assert_eq!(log(&sim, &pod, "?tailLines=1").await.1, format!("{last}\n"));
    assert_eq!(log(&sim, &pod, "?tailLines=0").await.1, "");
    assert_eq!(log(&sim, &pod, "?limitBytes=10").await.1, all[..10]);
    assert_eq!(log(&sim, &pod, "?container=indexnode").await.1, all);
    assert_eq!(log(&sim, &pod, "?sinceSeconds=3600").await.1, all);
    let (_, dated) = log(&sim, &pod, "?timestamps=true&tailLines=1").await;
    let (time, rest) = dated.split_once(' ').expect("a time and a line");
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert_eq!(rest, format!("{last}\n"));
}

#[tokio::test]
async fn what_cannot_be_given_is_refused_in_the_words_of_the_api() {
    let sim = index_node().await;
    let pod = sim.pods("indexnode").remove(0).name;
    let (code, body) = log(&sim, &pod, "?previous=true").await;
    assert_eq!(code, 400);
    let expected =
        format!("previous terminated container \"indexnode\" in pod \"{pod}\" not found");
    assert_eq!(message(&body), expected);
    let (code, body) = log(&sim, &pod, "?container=other").await;
    assert_eq!(
        (code, message(&body)),
        (400, format!("container other is not valid for pod {pod}"))
    );
    assert_eq!(log(&sim, "nobody", "").await.0, 404);
    assert_eq!(log(&sim, &pod, "?tailLines=-1").await.0, 422);
    assert_eq!(log(&sim, &pod, "?tailLines=many").await.0, 400);

    let two = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "two"}, "spec":
        {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}});
    assert_eq!(send(&sim, "POST", "/api/v1/namespaces/milvus-ha/pods", two).await.0, 201);
    let (code, body) = log(&sim, "two", "").await;
    let expected = "a container name must be specified for pod two, choose one of: [a b]";
    assert_eq!((code, message(&body).as_str()), (400, expected));
}

#[tokio::test]
async fn the_log_of_a_container_that_ended_says_why() {
    let sim = index_node().await;
    let (component, breakage) = ("indexnode".to_owned(), Breakage::CrashLoop);
    sim.inject(Fault::BadRollout { component, breakage }).expect("there");
    let crashing = || {
        let pods = sim.pods("indexnode").into_iter();
        pods.into_iter().find(|pod| pod.waiting == "CrashLoopBackOff" && pod.restarts > 0)
    };
    eventually("the new pod crashes", || crashing().is_some()).await;
    let pod = crashing().expect("it waits").name;
    for query in ["", "?previous=true"] {
        let (code, text) = log(&sim, &pod, query).await;
        assert_eq!(code, 200);
        assert!(text.contains("panic: invalid configuration"), "{query}: {text}");
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_leaves_no_log() {
    let sim = index_node().await;
    let (component, breakage) = ("indexnode".to_owned(), Breakage::ImageMissing);
    sim.inject(Fault::BadRollout { component, breakage }).expect("there");
    let waiting = || {
        let mut pods = sim.pods("indexnode").into_iter();
        pods.find(|pod| pod.waiting == "ImagePullBackOff")
    };
    eventually("the image cannot be pulled", || waiting().is_some()).await;
    let pod = waiting().expect("it waits").name;
    let (code, body) = log(&sim, &pod, "").await;
    assert_eq!(code, 400);
    assert!(message(&body).ends_with("is trying and failing to pull image"), "{body}");
    let told = super::events(&sim, &pod).await;
    assert!(told.iter().any(|event| event == "Failed: Error: ErrImagePull"), "{told:?}");
    assert_eq!(sim.pods("indexnode").iter().filter(|pod| pod.ready).count(), 1, "the old one");
}

//! Faults: what they break, and what heals them.

use std::time::Duration;

use falconer::effects::milvus::proto::milvus::milvus_service_client::MilvusServiceClient;
use falconer::effects::milvus::proto::milvus::{CheckHealthRequest, QueryRequest};
use falconer::effects::milvus::proto::schema::{field_data, scalar_field};
use falconer::sim::{ApiFault, Fault, MilvusFault, PodView, SimSettings, Simulation};
use tonic::transport::{Channel, Endpoint};

use super::{eventually, get, settings, settled};

/// GETs a path of a pod: the status, or `None` when there is no answer in time.
async fn ask(sim: &Simulation, pod: &PodView, path: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().timeout(Duration::from_millis(500)).build();
    let ip = pod.ip.clone().expect("a running pod has an address");
    let url = format!("http://{ip}:{}{path}", sim.metrics_port());
    let response = client.expect("a client").get(url).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.text().await.expect("a body")))
}

async fn health(sim: &Simulation, pod: &PodView) -> Option<u16> {
    ask(sim, pod, "/healthz").await.map(|(status, _)| status)
}

/// Deletes a pod and waits until there is one in its place that listens, ready or not.
async fn delete(sim: &Simulation, pod: &PodView) {
    let url = format!("{}/api/v1/namespaces/milvus-ha/pods/{}", sim.api_url(), pod.name);
    assert_eq!(reqwest::Client::new().delete(url).send().await.expect("answers").status(), 200);
    let component = pod.name.split('-').nth(1).expect("a component").to_owned();
    let wanted = sim.workload(&component).expect("a workload").replicas as usize;
    eventually("the pod is replaced", || {
        let pods = sim.pods(&component);
        pods.len() == wanted && pods.iter().all(|other| other.uid != pod.uid && other.ip.is_some())
    })
    .await;
}

#[tokio::test]
async fn a_hung_pod_accepts_and_never_answers_until_it_is_replaced() {
    let sim = settled(settings()).await;
    let pods = sim.pods("querynode");
    sim.inject(Fault::HangPod { pod: pods[0].name.clone() }).expect("there");
    assert_eq!(health(&sim, &pods[0]).await, None);
    assert_eq!(health(&sim, &pods[1]).await, Some(200));
    delete(&sim, &pods[0]).await;
    eventually("the new pod is ready", || sim.is_settled()).await;
    for pod in sim.pods("querynode") {
        assert_eq!(health(&sim, &pod).await, Some(200));
    }
    assert!(sim.inject(Fault::HangPod { pod: pods[0].name.clone() }).is_err());
}

#[tokio::test]
async fn a_sick_revision_is_healed_by_a_new_one_and_not_by_another_pod() {
    let sim = settled(settings()).await;
    sim.inject(Fault::Component500 { component: "datanode".to_owned() }).expect("there");
    let pods = sim.pods("datanode");
    let (status, body) = ask(&sim, &pods[0], "/healthz").await.expect("answers");
    assert_eq!((status, body.as_str()), (500, "component datanode state is Abnormal"));
    delete(&sim, &pods[0]).await;
    for pod in sim.pods("datanode") {
        assert_eq!(health(&sim, &pod).await, Some(500));
    }
    let url =
        format!("{}/apis/apps/v1/namespaces/milvus-ha/deployments/milvus-datanode", sim.api_url());
    let patch = r#"{"spec":{"template":{"metadata":{"annotations":{"restarted":"now"}}}}}"#;
    let request = reqwest::Client::new().patch(url).body(patch);
    let request = request.header("content-type", "application/merge-patch+json");
    assert_eq!(request.send().await.expect("answers").status(), 200);
    let old = pods[1].revision.clone();
    eventually("only new pods are left", || {
        sim.is_settled() && sim.pods("datanode").iter().all(|pod| pod.revision != old)
    })
    .await;
    for pod in sim.pods("datanode") {
        assert_eq!(health(&sim, &pod).await, Some(200));
    }
}

#[tokio::test]
async fn a_stall_ends_by_itself() {
    let sim = settled(settings()).await;
    let component = "indexnode".to_owned();
    let lasts = Duration::from_secs(1);
    sim.inject(Fault::StallComponent { component, lasts }).expect("there");
    let pod = sim.pods("indexnode").remove(0);
    assert_eq!(health(&sim, &pod).await, None);
    tokio::time::sleep(lasts).await;
    assert_eq!(health(&sim, &pod).await, Some(200));
    let asked = sim.pod_requests().matching(|request| request.pod == pod.name);
    assert_eq!(asked.iter().map(|request| request.answered).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_crash_loop_shows_and_ends_with_its_cause() {
    let sim = settled(settings()).await;
    sim.inject(Fault::CrashLoop { component: "indexnode".to_owned() }).expect("there");
    eventually("it crashes", || {
        let pods = sim.pods("indexnode");
        pods.iter().all(|pod| pod.restarts > 0 && pod.waiting == "CrashLoopBackOff")
    })
    .await;
    let (_, list) =
        get(&sim, "/api/v1/namespaces/milvus-ha/pods?labelSelector=component%3Dindexnode").await;
    let state = &list["items"][0]["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["waiting"]["reason"], "CrashLoopBackOff");
    sim.heal();
    eventually("it recovers", || sim.is_settled()).await;
}

#[tokio::test]
async fn load_is_shared_among_the_pods_of_a_component() {
    let sim = settled(settings()).await;
    let (component, cpu_milli) = ("proxy".to_owned(), 1_800);
    sim.inject(Fault::SetLoad { component, cpu_milli }).expect("there");
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/milvus-ha/pods";
    let (_, list) = get(&sim, path).await;
    let proxy = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|item| item["metadata"]["labels"]["component"] == "proxy");
    let cpu = proxy.expect("a proxy")["containers"][0]["usage"]["cpu"].as_str().expect("text");
    let milli = cpu.trim_end_matches('n').parse::<u64>().expect("nanocores") / 1_000_000;
    assert!((880..=960).contains(&milli), "{milli}");
    sim.inject(Fault::MetricsApiAbsent).expect("possible");
    assert_eq!(get(&sim, path).await.0, 404);
}

#[tokio::test]
async fn the_kubernetes_api_fails_in_every_way_and_comes_back() {
    let sim = settled(settings()).await;
    for (fault, expected) in [
        (ApiFault::Unavailable, 503),
        (ApiFault::InternalError, 500),
        (ApiFault::Unauthorized, 401),
        (ApiFault::TooManyRequests, 429),
    ] {
        sim.inject(Fault::KubernetesApi(fault)).expect("possible");
        let (status, body) = get(&sim, "/api/v1/pods").await;
        assert_eq!((status, body["kind"].as_str()), (expected, Some("Status")));
    }
    sim.heal();
    assert_eq!(get(&sim, "/api/v1/pods").await.0, 200);
}

async fn milvus(sim: &Simulation) -> MilvusServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(sim.milvus_url()).expect("a URL");
    MilvusServiceClient::new(endpoint.connect().await.expect("connects"))
}

#[tokio::test]
async fn milvus_counts_rows_and_says_how_it_is() {
    let sim = settled(settings()).await;
    let mut client = milvus(&sim).await;
    let query = |collection: &str| QueryRequest {
        collection_name: collection.to_owned(),
        output_fields: vec!["count(*)".to_owned()],
        ..QueryRequest::default()
    };
    let counted = client.query(query("products")).await.expect("answers").into_inner();
    let Some(field_data::Field::Scalars(scalars)) = &counted.fields_data[0].field else {
        panic!("a column of scalars: {counted:?}");
    };
    let Some(scalar_field::Data::LongData(rows)) = &scalars.data else {
        panic!("numbers: {scalars:?}");
    };
    assert_eq!(rows.data, [10_000]);
    let missing = client.query(query("nothing")).await.expect("answers").into_inner();
    assert_eq!(missing.status.expect("a status").code, 100);
    let reasons = vec!["rootcoord is ill".to_owned()];
    sim.inject(Fault::Milvus(MilvusFault::NotHealthy(reasons.clone()))).expect("possible");
    let answer = client.check_health(CheckHealthRequest {}).await.expect("answers").into_inner();
    assert_eq!((answer.is_healthy, answer.reasons), (false, reasons));
}

#[tokio::test]
async fn milvus_demands_its_password() {
    let milvus_credentials = Some(("root".to_owned(), "Milvus".to_owned()));
    let sim = settled(SimSettings { milvus_credentials, ..settings() }).await;
    let mut client = milvus(&sim).await;
    let refused = client.check_health(CheckHealthRequest {}).await.expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let mut request = tonic::Request::new(CheckHealthRequest {});
    request.metadata_mut().insert("authorization", "cm9vdDpNaWx2dXM=".parse().expect("ASCII"));
    assert!(client.check_health(request).await.expect("answers").into_inner().is_healthy);
}

#[tokio::test]
async fn pods_serve_a_metrics_page_and_the_dependency_its_health() {
    let sim = settled(settings()).await;
    let (status, page) = ask(&sim, &sim.pods("proxy")[0], "/metrics").await.expect("answers");
    assert_eq!(status, 200);
    assert!(page.contains("milvus_proxy_req_count{function_name=\"Search\""), "{page}");
    let asked =
        || async { reqwest::get(sim.dependency_url()).await.expect("answers").status().as_u16() };
    assert_eq!(asked().await, 200);
    sim.inject(Fault::DependencyDown).expect("possible");
    assert_eq!(asked().await, 503);
}

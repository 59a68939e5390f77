//! milvus-operator: two Deployments of one component, and what it must be left alone with.

use falconer::model::Role;
use falconer::sim::{
    Breakage, ComponentSettings, Fault, Layout, OperatorTrait, RollingMode, SimSettings, Simulation,
};
use serde_json::{Value, json};

use super::{eventually, get, send, settings, settled};

const MILVUS: &str = "/apis/milvus.io/v1beta1/namespaces/milvus-ha/milvuses/milvus";

async fn operated() -> Simulation {
    let components =
        vec![ComponentSettings::of(Role::Proxy, 1), ComponentSettings::of(Role::QueryNode, 2)];
    let rolling_mode = RollingMode::TwoForQueryNode;
    settled(SimSettings { layout: Layout::Operator, rolling_mode, components, ..settings() }).await
}

async fn milvus(sim: &Simulation) -> Value {
    get(sim, MILVUS).await.1
}

fn replicas(sim: &Simulation) -> Vec<(String, u64)> {
    let workloads = sim.workloads("querynode").into_iter();
    workloads.map(|workload| (workload.name, workload.replicas)).collect()
}

fn updated(milvus: &Value) -> &Value {
    let conditions = milvus["status"]["conditions"].as_array().expect("conditions");
    let updated = conditions.iter().find(|entry| entry["type"] == "MilvusUpdated");
    &updated.expect("a condition")["status"]
}

#[tokio::test]
async fn of_two_deployments_one_has_the_pods_and_a_new_image_moves_them_to_the_other() {
    let sim = operated().await;
    let names = ["milvus-milvus-querynode-0", "milvus-milvus-querynode-1"].map(str::to_owned);
    assert_eq!(replicas(&sim), [(names[0].clone(), 2), (names[1].clone(), 0)]);
    assert_eq!(sim.workloads("querynode")[1].image, "dummy");
    assert_eq!(sim.workloads("proxy").len(), 1);
    let shown = milvus(&sim).await;
    let group = |milvus: &Value| {
        milvus["metadata"]["annotations"]["milvus.io/querynode-current-group-id"].clone()
    };
    assert_eq!((group(&shown), updated(&shown)), (json!("0"), &json!("True")));

    let image = json!({"spec": {"components": {"image": "milvusdb/milvus:v2.3.6"}}});
    assert_eq!(send(&sim, "PATCH", MILVUS, image).await.0, 200);
    let mut rolled = false;
    for _ in 0..1_000 {
        let shown = milvus(&sim).await;
        let rolling = shown["metadata"]["labels"]["milvus.io/querynode-rolling-id"].is_string();
        assert!(!rolling || updated(&shown) == "False", "{shown}");
        rolled |= rolling;
        let ready = sim.pods("querynode").iter().filter(|pod| pod.ready).count();
        assert!(ready >= 2, "never fewer than before");
        if rolled && !rolling {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    eventually("the pods have moved", || sim.is_settled()).await;
    assert_eq!(replicas(&sim), [(names[0].clone(), 0), (names[1].clone(), 2)]);
    let shown = milvus(&sim).await;
    assert_eq!((group(&shown), updated(&shown)), (json!("1"), &json!("True")));
    assert!(sim.pods("querynode").iter().all(|pod| pod.image == "milvusdb/milvus:v2.3.6"));
    assert_eq!(sim.workload("proxy").expect("there").image, "milvusdb/milvus:v2.3.6");
}

#[tokio::test]
async fn a_bad_image_leaves_the_component_on_its_way_with_its_old_pods() {
    let sim = operated().await;
    let (component, breakage) = ("querynode".to_owned(), Breakage::NeverReady);
    sim.inject(Fault::BadRollout { component, breakage }).expect("there");
    eventually("new pods run beside the old ones", || {
        let pods = sim.pods("querynode");
        pods.len() == 4 && pods.iter().all(|pod| pod.ip.is_some())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(sim.pods("querynode").iter().filter(|pod| pod.ready).count(), 2);
    let shown = milvus(&sim).await;
    assert!(shown["metadata"]["labels"]["milvus.io/querynode-rolling-id"].is_string(), "{shown}");
}

#[tokio::test]
async fn a_paused_operator_leaves_everything_alone() {
    let sim = operated().await;
    let proxy = "/apis/apps/v1/namespaces/milvus-ha/deployments/milvus-milvus-proxy/scale";
    let three = json!({"spec": {"replicas": 3}});
    let traits = [
        OperatorTrait::Paused,
        OperatorTrait::ManualMode,
        OperatorTrait::ComponentPaused("proxy".to_owned()),
    ];
    for what in traits {
        sim.inject(Fault::Operator(what.clone())).expect("there");
        assert_eq!(send(&sim, "PATCH", proxy, three.clone()).await.0, 200);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(sim.workload("proxy").expect("there").replicas, 3, "{what:?}");
        sim.heal();
        eventually("it takes back what others have set", || {
            sim.workload("proxy").is_some_and(|workload| workload.replicas == 1)
        })
        .await;
    }
    sim.inject(Fault::Operator(OperatorTrait::NotUpdated)).expect("there");
    sim.inject(Fault::Operator(OperatorTrait::RollingOut("proxy".to_owned()))).expect("there");
    let shown = milvus(&sim).await;
    assert_eq!(updated(&shown), "False");
    assert!(shown["metadata"]["labels"]["milvus.io/proxy-rolling-id"].is_string());
    sim.heal();
    let shown = milvus(&sim).await;
    assert_eq!(updated(&shown), "True");
    assert!(shown["metadata"]["labels"]["milvus.io/proxy-rolling-id"].is_null());
}

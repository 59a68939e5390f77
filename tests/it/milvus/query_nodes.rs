//! What is asked of Milvus about its query nodes, and done with them: against the simulated cluster,
//! and against management pages that are not there or not what they should be.

use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::grpc::GrpcEndpoint;
use falconer::effects::milvus::credentials::Credentials;
use falconer::effects::milvus::query_nodes::{MilvusQueryNodes, QueryNodesSettings};
use falconer::effects::{ManagementError, QueryNodes};
use falconer::model::{
    Balance, ComponentInventory, Inventory, Management, Pod, PodCondition, PodLife, QueryNodeState,
    Resources, Role, Serving,
};
use falconer::sim::{ComponentSettings, DataSettings, SimSettings, Simulation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

const BUDGET: Duration = Duration::from_secs(5);

async fn simulated(management_status: Option<u16>) -> Simulation {
    let sim = Simulation::start(SimSettings {
        components: vec![
            ComponentSettings::of(Role::Proxy, 1),
            ComponentSettings::of(Role::QueryCoord, 1),
            ComponentSettings::of(Role::QueryNode, 3),
        ],
        metrics_port: Some(0),
        startup: Duration::from_millis(100),
        data: Some(DataSettings {
            replicas: 2,
            load_time: Duration::from_millis(10),
            management_status,
            ..DataSettings::default()
        }),
        ..SimSettings::default()
    })
    .expect("a simulation");
    assert!(sim.settled(Duration::from_secs(20)).await, "the pods become ready");
    sim
}

fn pod(name: &str, ip: &str) -> Pod {
    Pod {
        name: name.into(),
        ip: Some(ip.to_owned()),
        condition: PodCondition::Ready,
        requests: Resources::default(),
        limits: Resources::default(),
        started_at: None,
        workload: None,
        life: PodLife::default(),
    }
}

/// The query nodes behind `url`, with the pods of `components` for the pages.
fn asking(url: String, port: u16, components: &[(Role, Vec<Pod>)]) -> MilvusQueryNodes {
    let mut inventory = Inventory { synced: true, ..Inventory::default() };
    for (role, pods) in components {
        let component = ComponentInventory {
            role: Some(*role),
            pods: pods.clone(),
            ..ComponentInventory::default()
        };
        inventory.components.insert(role.as_str().into(), component);
    }
    let (_, inventory) = watch::channel(Arc::new(inventory));
    let settings = QueryNodesSettings {
        endpoint: GrpcEndpoint { url, ..GrpcEndpoint::default() },
        credentials: Credentials::None,
        metrics_port: port,
    };
    MilvusQueryNodes::new(settings, inventory, Clock::system())
}

fn asking_of(sim: &Simulation) -> MilvusQueryNodes {
    let pods = |role: Role| {
        let pods = sim.pods(role.as_str()).into_iter();
        (role, pods.filter_map(|view| Some(pod(&view.name, &view.ip?))).collect())
    };
    let components = [pods(Role::Proxy), pods(Role::QueryCoord)];
    asking(sim.milvus_url(), sim.metrics_port(), &components)
}

/// Asks until nothing is on its way.
async fn at_rest(asking: &MilvusQueryNodes) -> Serving {
    for _ in 0..200 {
        let serving = asking.survey(BUDGET).await.expect("an answer");
        if serving.balance == Balance::Idle {
            return serving;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the simulated data never comes to rest");
}

#[tokio::test]
async fn a_node_is_emptied_and_given_back_and_the_queries_never_fail() {
    let sim = simulated(None).await;
    let asking = asking_of(&sim);
    let serving = at_rest(&asking).await;
    assert_eq!(serving.management, Management::Available);
    assert_eq!(serving.nodes.len(), 3);
    assert!(serving.nodes.iter().all(|node| node.serves() && !node.host.is_empty()));
    let copies: Vec<_> = serving
        .collections
        .iter()
        .map(|one| (one.name.as_str(), one.percent, one.replicas))
        .collect();
    assert_eq!(copies, [("products", 100, 2), ("articles", 100, 2)]);
    assert_eq!(asking.query_all(BUDGET).await, Ok(2));

    let node = serving.nodes[0].id;
    asking.suspend(node, BUDGET).await.expect("suspended");
    asking.empty(node, BUDGET).await.expect("emptied");
    at_rest(&asking).await;
    let held = asking.holdings(node, BUDGET).await.expect("an answer").expect("it is known");
    assert_eq!((held.state, held.serves()), (QueryNodeState::Suspended, false));
    assert_eq!(asking.query_all(BUDGET).await, Ok(2));
    asking.resume(node, BUDGET).await.expect("resumed");
    let held = asking.holdings(node, BUDGET).await.expect("an answer").expect("it is known");
    assert_eq!(held.state, QueryNodeState::Normal);
    assert_eq!(asking.holdings(4_711, BUDGET).await, Ok(None));
    asking.resume(4_711, BUDGET).await.expect("one that is gone is no error");
}

#[tokio::test]
async fn where_the_management_pages_are_not_to_be_had_grpc_tells_what_is_where() {
    for status in [404, 401, 403, 503] {
        let sim = simulated(Some(status)).await;
        let asking = asking_of(&sim);
        let serving = at_rest(&asking).await;
        let Management::Absent { why } = &serving.management else { panic!("{serving:?}") };
        assert!(why.contains(&status.to_string()), "{why}");
        assert_eq!(serving.nodes.len(), 3);
        assert!(serving.nodes.iter().all(|node| node.segments > 0), "{serving:?}");
        let refused = asking.suspend(serving.nodes[0].id, BUDGET).await;
        assert!(matches!(refused, Err(ManagementError::Absent { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_fails_or_a_coordinator_that_cannot_be_asked_is_no_evidence() {
    let sim = simulated(Some(500)).await;
    let reason = asking_of(&sim).survey(BUDGET).await.expect_err("no answer");
    assert!(reason.text.contains("status 500"), "{reason}");
    let sim = simulated(None).await;
    let proxies = sim.pods("proxy").into_iter();
    let proxies = proxies.filter_map(|view| Some(pod(&view.name, &view.ip?))).collect();
    let asking = asking(sim.milvus_url(), sim.metrics_port(), &[(Role::Proxy, proxies)]);
    let serving = asking.survey(BUDGET).await.expect("an answer");
    assert!(matches!(serving.balance, Balance::Unknown { .. }), "{serving:?}");
}

/// A server that sends `answer` to whoever connects, over and over; nothing where it is empty.
async fn hostile(answer: Vec<u8>, repeats: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).await;
                for _ in 0..repeats {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
                sleep(Duration::from_mins(1)).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn hostile_management_pages_end_in_time_with_a_reason() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let endless = [head, format!("10000\r\n{}\r\n", "x".repeat(0x10000)).into_bytes()].concat();
    let garbage = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_vec();
    let cases = [(Vec::new(), 1, "no answer in time"), (endless, 1, ""), (garbage, 1, "node/list")];
    for (answer, repeats, expected) in cases {
        let port = hostile(answer, repeats).await;
        let asking = asking(
            "http://127.0.0.1:1".to_owned(),
            port,
            &[(Role::Proxy, vec![pod("p", "127.0.0.1")])],
        );
        let error = asking.holdings(1, Duration::from_millis(500)).await.expect_err("a reason");
        let ManagementError::Failed { reason } = error else { panic!("{error:?}") };
        assert!(reason.text.contains(expected), "{reason}");
    }
}

//! The object in which a number of replicas stands, against the simulated cluster: its milvus-operator
//! takes back what others set, and its API lets falconer do only what its Roles grant.

use std::sync::Arc;
use std::time::Duration;

use falconer::effects::cluster::dry_run::DryRunCluster;
use falconer::effects::cluster::kube::KubeCluster;
use falconer::effects::{Cluster, ClusterError, ScaleRequest};
use falconer::model::{Role, RolloutStatus, Workload, WorkloadKind, WorkloadRef};
use falconer::sim::{
    ApiRequest, ComponentSettings, Fault, Layout, OperatorTrait, RollingMode, SimSettings,
    Simulation,
};
use serde_json::{Value, json};

use super::simulated::active;
use super::{adapter, granted, settled, until};

const MILVUS: &str = "/apis/milvus.io/v1beta1/namespaces/milvus-ha/milvuses/milvus";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/milvus-ha/deployments";
const HPAS: &str = "/apis/autoscaling/v2/namespaces/milvus-ha/horizontalpodautoscalers";
const KEDA: &str = "/apis/keda.sh/v1alpha1/namespaces/milvus-ha/scaledobjects";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A simulated cluster, and the adapter that may do what these Roles grant.
struct Bench {
    sim: Simulation,
    cluster: Arc<KubeCluster>,
    roles: Vec<&'static str>,
}

impl Bench {
    async fn new(layout: Layout, roles: &[&'static str]) -> Self {
        let components = vec![
            ComponentSettings::of(Role::QueryNode, 2),
            ComponentSettings {
                kind: WorkloadKind::StatefulSet,
                ..ComponentSettings::of(Role::DataNode, 2)
            },
        ];
        let sim = settled(SimSettings {
            layout,
            rolling_mode: RollingMode::TwoForQueryNode,
            components,
            startup: Duration::from_millis(100),
            ..SimSettings::default()
        })
        .await;
        let cluster = adapter(&sim);
        let bench = Self { sim, cluster, roles: roles.to_vec() };
        bench.enforce();
        until(&bench.cluster, "the components are not seen", |inventory| {
            inventory.is_current() && inventory.components.len() == 2
        })
        .await;
        bench
    }

    /// With everything that scaling can need.
    async fn operated() -> Self {
        Self::new(Layout::Operator, &["watch", "scaling", "operator-scaling"]).await
    }

    async fn plain() -> Self {
        Self::new(Layout::Helm, &["watch", "scaling"]).await
    }

    fn enforce(&self) {
        self.sim.enforce_access(Some(granted(&self.roles)));
    }

    /// What a person does, whom no rule holds.
    async fn person(&self, method: &str, path: &str, body: Value) -> Value {
        self.sim.enforce_access(None);
        let url = format!("{}{path}", self.sim.api_url());
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = reqwest::Client::new().request(method.parse().expect("a method"), url);
        let request = request.header("content-type", kind).header("user-agent", "a person");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = request.body(body).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        self.enforce();
        serde_json::from_str(&text).expect("JSON")
    }

    async fn get(&self, path: &str) -> Value {
        self.person("GET", path, Value::Null).await
    }

    /// A change of what runs `component`.
    fn change(&self, component: &str, from: u32, to: u32) -> ScaleRequest {
        let inventory = self.cluster.inventory().borrow().clone();
        ScaleRequest { workload: active(&inventory, component).reference, from, to }
    }

    /// What the adapter has changed.
    fn writes(&self) -> Vec<ApiRequest> {
        let all = self.sim.api_requests().all().into_iter();
        all.filter(|one| one.is_write() && one.user_agent != "a person").collect()
    }

    /// Scales with and without dry-run: what is shown is what is sent, and is sent once.
    async fn scaled_as_shown(&self, request: &ScaleRequest) -> ApiRequest {
        let dry = DryRunCluster::new(self.cluster.clone());
        let shown = dry.scale(request).await.expect("it is shown");
        assert!(!shown.applied);
        assert!(self.writes().is_empty(), "a dry run changes nothing");
        let applied = self.cluster.scale(request).await.expect("a scaling");
        assert_eq!((applied.applied, &applied.change), (true, &shown.change));
        let mut writes = self.writes();
        assert_eq!(writes.len(), 1, "{writes:#?}");
        let sent = writes.remove(0);
        let ApiRequest { path, query, content_type, body, .. } = &sent;
        assert_eq!(shown.change, format!("PATCH {path}?{query} {content_type} {body}"));
        sent
    }

    async fn complete(&self, request: &ScaleRequest) {
        let finished = async {
            while self.cluster.scaling_status(request).await.expect("a status")
                != RolloutStatus::Complete
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), finished).await.expect("it is carried out");
    }

    async fn refused(&self, request: &ScaleRequest) -> ClusterError {
        let dry = DryRunCluster::new(self.cluster.clone());
        let shown = dry.scale(request).await.expect_err("a dry run is refused too");
        let error = self.cluster.scale(request).await.expect_err("a refusal");
        assert_eq!(shown.to_string(), error.to_string());
        assert!(self.writes().is_empty(), "{:#?}", self.writes());
        error
    }
}

fn hpa(kind: &str, target: &str) -> Value {
    let api = if kind == "Milvus" { "milvus.io/v1beta1" } else { "apps/v1" };
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"}, "spec": {"minReplicas": 1, "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": api, "kind": kind, "name": target}}})
}

#[tokio::test]
async fn with_the_operator_its_custom_resource_is_patched_and_the_deployment_is_not() {
    let bench = Bench::operated().await;
    let request = bench.change("querynode", 2, 3);
    let sent = bench.scaled_as_shown(&request).await;
    assert_eq!((sent.path.as_str(), sent.verb), (MILVUS, "patch"));
    assert_eq!(sent.query, "fieldManager=falconer&fieldValidation=Strict");
    let body: Value = serde_json::from_str(&sent.body).expect("JSON");
    assert_eq!(body["spec"], json!({"components": {"queryNode": {"replicas": 3}}}));
    assert!(body["metadata"]["resourceVersion"].is_string(), "{body}");
    // The operator carries it out, in the one of its two Deployments that has the pods.
    bench.complete(&request).await;
    let replicas: Vec<_> =
        bench.sim.workloads("querynode").iter().map(|workload| workload.replicas).collect();
    assert_eq!(replicas, [3, 0]);
    assert_eq!(bench.writes().len(), 1);

    // The operator may run it as a StatefulSet, too.
    let request = bench.change("datanode", 2, 1);
    assert_eq!(request.workload.kind, WorkloadKind::StatefulSet);
    bench.cluster.scale(&request).await.expect("a scaling");
    bench.complete(&request).await;
    assert!(bench.writes().iter().all(|write| write.path == MILVUS));
    let milvus = bench.get(MILVUS).await;
    assert_eq!(milvus["spec"]["components"]["dataNode"]["replicas"], 1);
    assert_eq!(milvus["spec"]["components"]["queryNode"]["replicas"], 3);
}

#[tokio::test]
async fn a_deployment_and_a_stateful_set_are_scaled_through_their_scale_subresource() {
    for (component, kind) in [("querynode", "deployments"), ("datanode", "statefulsets")] {
        let bench = Bench::plain().await;
        let request = bench.change(component, 2, 3);
        let sent = bench.scaled_as_shown(&request).await;
        let name = &request.workload.name;
        let path = format!("/apis/apps/v1/namespaces/milvus-ha/{kind}/{name}/scale");
        assert_eq!((sent.path, sent.content_type.as_str()), (path, "application/merge-patch+json"));
        bench.complete(&request).await;
        assert_eq!(bench.sim.workload(component).expect("it is there").replicas, 3);
    }
}

#[tokio::test]
async fn with_an_hpa_or_a_keda_object_present_nothing_is_patched() {
    for layout in [Layout::Helm, Layout::Operator] {
        let bench = Bench::new(layout, &["watch", "scaling", "operator-scaling"]).await;
        let request = bench.change("querynode", 2, 3);
        let name = request.workload.name.to_string();
        let mut targets = vec![("Deployment", name.as_str())];
        if layout == Layout::Operator {
            targets.push(("Milvus", "milvus"));
        }
        for (kind, target) in targets {
            bench.person("POST", HPAS, hpa(kind, target)).await;
            // It is asked for right before acting: whether the watch has seen it does not matter.
            let error = bench.refused(&request).await;
            assert!(matches!(error, ClusterError::ScaledByOther { .. }), "{error:?}");
            let words = format!("HorizontalPodAutoscaler h scales deployment/{name} already");
            assert!(error.to_string().contains(&words), "{error}");
            bench.person("DELETE", &format!("{HPAS}/h"), Value::Null).await;
        }
        bench.person("POST", HPAS, hpa("Deployment", "something-else")).await;

        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition", "metadata": {"name": "scaledobjects.keda.sh"},
            "spec": {"group": "keda.sh"}});
        bench.person("POST", CRDS, definition).await;
        let object = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"name": "k"},
            "spec": {"scaleTargetRef": {"name": name}, "triggers": [{"type": "cpu"}]}});
        bench.person("POST", KEDA, object).await;
        let error = bench.refused(&request).await;
        let words = format!("ScaledObject k scales deployment/{name} already");
        assert!(error.to_string().contains(&words), "{error}");
        bench.person("DELETE", &format!("{KEDA}/k"), Value::Null).await;
        bench.cluster.scale(&request).await.expect("nothing else scales it any more");
    }
}

#[tokio::test]
async fn autoscalers_that_may_not_be_asked_for_are_not_taken_for_none() {
    let mut bench = Bench::plain().await;
    let request = bench.change("querynode", 2, 3);
    bench.roles = vec!["scaling"];
    bench.enforce();
    let error = bench.refused(&request).await;
    assert!(matches!(error, ClusterError::ScaledByOther { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("cannot be told") && text.contains("403"), "{text}");
}

#[tokio::test]
async fn without_the_right_to_change_the_custom_resource_nothing_is_changed_instead() {
    let mut bench = Bench::new(Layout::Operator, &["watch", "scaling"]).await;
    let request = bench.change("querynode", 2, 3);
    let error = bench.refused(&request).await;
    assert!(matches!(error, ClusterError::Forbidden { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("grant deploy/base/access/operator-scaling.yaml"), "{text}");

    bench.roles.push("operator-scaling");
    bench.enforce();
    let dry = DryRunCluster::new(bench.cluster.clone());
    dry.scale(&request).await.expect("with the right it would be changed");
    bench.person("DELETE", MILVUS, Value::Null).await;
    let error = bench.cluster.scale(&request).await.expect_err("it is gone");
    assert!(matches!(error, ClusterError::NotFound { .. }), "{error:?}");
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn what_the_custom_resource_says_of_itself_is_respected() {
    let bench = Bench::operated().await;
    let request = bench.change("querynode", 2, 3);
    let spec = |query_node: Value| json!({"spec": {"components": {"queryNode": query_node}}});
    bench.person("PATCH", MILVUS, spec(json!({"replicas": -1}))).await;
    let error = bench.refused(&request).await;
    assert!(matches!(error, ClusterError::ScaledByOther { .. }), "{error:?}");
    assert!(error.to_string().contains("spec.components.queryNode.replicas is -1"), "{error}");
    until(&bench.cluster, "that it is handed over is not seen", |inventory| {
        active(inventory, "querynode").autoscaler.is_some()
    })
    .await;

    bench.person("PATCH", MILVUS, spec(json!({"replicas": 2}))).await;
    for what in [
        OperatorTrait::Paused,
        OperatorTrait::ManualMode,
        OperatorTrait::ComponentPaused("querynode".to_owned()),
        OperatorTrait::NotUpdated,
        // The pretended rollout of a component with two Deployments is over at once.
        OperatorTrait::RollingOut("datanode".to_owned()),
    ] {
        bench.sim.inject(Fault::Operator(what.clone())).expect("there");
        let is_datanode = matches!(what, OperatorTrait::RollingOut(_));
        let component = if is_datanode { "datanode" } else { "querynode" };
        let error = bench.refused(&bench.change(component, 2, 3)).await;
        assert!(matches!(error, ClusterError::Conflict { .. }), "{what:?}: {error:?}");
        bench.sim.heal();
    }
    bench.cluster.scale(&request).await.expect("nothing speaks against it any more");
}

#[tokio::test]
async fn of_several_deployment_groups_only_the_one_that_is_meant_is_changed() {
    let bench = Bench::operated().await;
    let request = bench.change("querynode", 2, 3);
    // Its twin, in a group of its own.
    let name = request.workload.name.to_string();
    let mut twin = bench.get(&format!("{DEPLOYMENTS}/{name}")).await;
    for at in ["/metadata", "/spec/template/metadata"] {
        let labels = twin.pointer_mut(&format!("{at}/labels")).expect("labels");
        labels["milvus.io/deployment-group"] = json!("b");
        labels.as_object_mut().expect("labels").remove("milvus.io/querynode-group-id");
    }
    let selector = twin["spec"]["selector"]["matchLabels"].as_object_mut().expect("a selector");
    selector.remove("milvus.io/querynode-group-id");
    selector.insert("milvus.io/deployment-group".to_owned(), json!("b"));
    twin["metadata"]["name"] = json!("milvus-milvus-querynode-b");
    twin["metadata"]["uid"] = Value::Null;
    let groups = json!([{"name": "a", "replicas": 1}, {"name": "b", "replicas": 2}]);
    let spec = json!({"spec": {"components": {"queryNode": {"groups": groups}}}});
    bench.person("PATCH", MILVUS, spec).await;
    bench.person("POST", DEPLOYMENTS, twin).await;

    let workload = WorkloadRef { name: "milvus-milvus-querynode-b".into(), ..request.workload };
    let wrong = ScaleRequest { workload: workload.clone(), from: 1, to: 2 };
    let error = bench.refused(&wrong).await;
    assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
    let request = ScaleRequest { workload, from: 2, to: 3 };
    let sent = bench.scaled_as_shown(&request).await;
    assert_eq!(
        (sent.path.as_str(), sent.content_type.as_str()),
        (MILVUS, "application/json-patch+json")
    );
    let milvus = bench.get(MILVUS).await;
    let groups = &milvus["spec"]["components"]["queryNode"]["groups"];
    assert_eq!(groups, &json!([{"name": "a", "replicas": 1}, {"name": "b", "replicas": 3}]));
    bench.complete(&request).await;
}

#[tokio::test]
async fn a_change_is_made_only_of_what_the_decision_was_based_on() {
    let bench = Bench::plain().await;
    let request = bench.change("querynode", 2, 3);
    let scale = format!("{DEPLOYMENTS}/{}/scale", request.workload.name);
    bench.person("PATCH", &scale, json!({"spec": {"replicas": 4}})).await;
    let error = bench.refused(&request).await;
    assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
    assert!(error.to_string().contains("it has 4 replicas now, not 2"), "{error}");
    let status = bench.cluster.scaling_status(&request).await.expect("a status");
    let RolloutStatus::Failed { message } = status else { panic!("{status:?}") };
    assert!(message.contains("somebody else has set them"), "{message}");

    let bench = Bench::operated().await;
    let request = bench.change("querynode", 2, 3);
    let spec = json!({"spec": {"components": {"queryNode": {"replicas": 5}}}});
    bench.person("PATCH", MILVUS, spec).await;
    // Before the operator has carried it over, the same is refused in other words.
    until(&bench.cluster, "it is not carried over", |inventory| {
        active(inventory, "querynode").desired_replicas == 5
    })
    .await;
    let error = bench.refused(&request).await;
    assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
}

#[tokio::test]
async fn gitops_is_seen_and_refuses_nothing() {
    let bench = Bench::plain().await;
    let request = bench.change("querynode", 2, 3);
    let deployment = format!("{DEPLOYMENTS}/{}", request.workload.name);
    let fields = json!({"f:spec": {"f:replicas": {}}});
    let meta = json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "ha"},
        "managedFields": [{"manager": "kustomize-controller", "operation": "Apply",
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]});
    bench.person("PATCH", &deployment, json!({"metadata": meta})).await;
    let seen = until(&bench.cluster, "it is not seen", |inventory| {
        active(inventory, "querynode").gitops.is_some()
    })
    .await;
    let Workload { gitops, .. } = active(&seen, "querynode");
    let gitops = gitops.expect("there is one");
    assert!(gitops.sets_replicas, "{gitops:?}");
    assert_eq!(gitops.to_string(), "Flux (managed fields of kustomize-controller)");
    bench.cluster.scale(&request).await.expect("a scaling");
}

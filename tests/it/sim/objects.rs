//! Leases and ConfigMaps: versions, conflicts, and what may not be stored. Lists in pages.

use serde_json::{Value, json};

use super::{get, send, settings, settled};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/milvus-ha/leases";
const CONFIG_MAPS: &str = "/api/v1/namespaces/milvus-ha/configmaps";

fn lease(holder: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "falconer", "namespace": "milvus-ha"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z"}})
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "state"}, "data": data})
}

#[tokio::test]
async fn of_two_who_update_a_lease_only_the_first_succeeds() {
    let sim = settled(settings()).await;
    let path = format!("{LEASES}/falconer");
    assert_eq!(get(&sim, &path).await.0, 404);
    let (code, created) = send(&sim, "POST", LEASES, lease("a")).await;
    assert_eq!(code, 201);
    let (code, refused) = send(&sim, "POST", LEASES, lease("b")).await;
    assert_eq!((code, &refused["reason"]), (409, &json!("AlreadyExists")));

    let mut mine = created.clone();
    mine["spec"]["renewTime"] = json!("2026-01-01T00:00:02.000000Z");
    let mut theirs = created.clone();
    theirs["spec"]["holderIdentity"] = json!("b");
    assert_eq!(send(&sim, "PUT", &path, mine).await.0, 200);
    let (code, refused) = send(&sim, "PUT", &path, theirs).await;
    assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")));
    let message = refused["message"].as_str().expect("a message");
    assert!(message.contains("the object has been modified"), "{message}");

    let (code, refused) = send(&sim, "PUT", &path, lease("b")).await;
    assert_eq!(code, 422, "a Lease is not replaced blindly: {refused}");
    let version = created["metadata"]["resourceVersion"].clone();
    let outdated =
        json!({"metadata": {"resourceVersion": version}, "spec": {"leaseTransitions": 1}});
    assert_eq!(send(&sim, "PATCH", &path, outdated).await.0, 409);
    let (_, list) = get(&sim, LEASES).await;
    assert_eq!(list["items"][0]["spec"]["holderIdentity"], "a");
}

#[tokio::test]
async fn a_lease_that_is_not_there_is_made_by_a_put_but_not_as_another() {
    let sim = settled(settings()).await;
    let path = format!("{LEASES}/falconer");
    let (code, made) = send(&sim, "PUT", &path, lease("a")).await;
    assert_eq!(code, 201);
    let mut other = made.clone();
    other["metadata"]["uid"] = json!("another");
    assert_eq!(send(&sim, "PUT", &path, other).await.0, 409);
    let mut renamed = made;
    renamed["metadata"]["name"] = json!("other");
    assert_eq!(send(&sim, "PUT", &path, renamed).await.0, 400);
}

#[tokio::test]
async fn a_lease_needs_times_with_microseconds_and_a_duration() {
    let sim = settled(settings()).await;
    for time in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123Z", "now"] {
        let mut wrong = lease("a");
        wrong["spec"]["renewTime"] = json!(time);
        assert_eq!(send(&sim, "POST", LEASES, wrong).await.0, 400, "{time}");
    }
    let mut wrong = lease("a");
    wrong["spec"]["leaseDurationSeconds"] = json!(0);
    let (code, answer) = send(&sim, "POST", LEASES, wrong).await;
    assert_eq!(code, 422);
    assert_eq!(
        answer["message"],
        "Lease.coordination.k8s.io \"falconer\" is invalid: spec.leaseDurationSeconds: Invalid \
         value: 0: must be greater than 0"
    );
}

#[tokio::test]
async fn a_patch_of_a_config_map_holds_only_for_the_version_it_was_made_for() {
    let sim = settled(settings()).await;
    let path = format!("{CONFIG_MAPS}/state");
    let (code, made) = send(&sim, "POST", CONFIG_MAPS, config_map(json!({"a": "1"}))).await;
    assert_eq!(code, 201);
    assert_eq!(send(&sim, "POST", CONFIG_MAPS, config_map(json!({}))).await.0, 409);
    let version = made["metadata"]["resourceVersion"].clone();
    let change = |data: Value| json!({"metadata": {"resourceVersion": version}, "data": data});
    assert_eq!(send(&sim, "PATCH", &path, change(json!({"b": "2", "a": null}))).await.0, 200);
    let (code, answer) = send(&sim, "PATCH", &path, change(json!({"b": "3"}))).await;
    assert_eq!((code, &answer["reason"]), (409, &json!("Conflict")));
    assert_eq!(get(&sim, &path).await.1["data"], json!({"b": "2"}));
    assert_eq!(send(&sim, "PATCH", &path, json!({"data": {"b": "4"}})).await.0, 200);
    assert_eq!(send(&sim, "PUT", &path, config_map(json!({"c": "5"}))).await.0, 200);
    assert_eq!(send(&sim, "DELETE", &path, json!({})).await.0, 200);
    assert_eq!(send(&sim, "PATCH", &path, json!({"data": {}})).await.0, 404);
}

#[tokio::test]
async fn a_config_map_is_limited_in_size_and_in_what_its_keys_may_be() {
    let sim = settled(settings()).await;
    let large = "x".repeat(1 << 20);
    let (code, answer) =
        send(&sim, "POST", CONFIG_MAPS, config_map(json!({"a": large, "b": "x"}))).await;
    assert_eq!((code, &answer["reason"]), (422, &json!("Invalid")));
    assert_eq!(answer["details"]["causes"][0]["reason"], "FieldValueTooLong");
    let (code, made) = send(&sim, "POST", CONFIG_MAPS, config_map(json!({"a": large}))).await;
    assert_eq!((code, &made["metadata"]["name"]), (201, &json!("state")));
    let huge = "x".repeat(4 << 20);
    let (code, answer) = send(&sim, "POST", CONFIG_MAPS, config_map(json!({"a": huge}))).await;
    assert_eq!((code, &answer["reason"]), (413, &json!("RequestEntityTooLarge")));
    for key in ["recovery/demo", "", "..", "a b"] {
        let (code, _) = send(&sim, "POST", CONFIG_MAPS, config_map(json!({key: "x"}))).await;
        assert_eq!(code, 422, "{key:?}");
    }
    assert_eq!(send(&sim, "POST", CONFIG_MAPS, config_map(json!({"a": 1}))).await.0, 400);
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let sim = settled(settings()).await;
    let path = "/api/v1/namespaces/milvus-ha/pods";
    let (_, all) = get(&sim, path).await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("items").iter();
        items.map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let (code, page) = get(&sim, &format!("{path}?limit=4&continue={token}")).await;
        assert_eq!(code, 200);
        assert!(names(&page).len() <= 4);
        seen.extend(names(&page));
        let Some(next) = page["metadata"]["continue"].as_str() else { break };
        token = next.to_owned();
    }
    assert_eq!(seen, names(&all));
    assert!(seen.len() > 8, "several pages");
    let (code, answer) = get(&sim, &format!("{path}?fieldSelector=spec.colour%3Dred")).await;
    assert_eq!(code, 400);
    assert_eq!(answer["message"], "field label not supported: spec.colour");
}

#[tokio::test]
async fn what_scales_is_checked_and_keda_is_there_only_with_its_definition() {
    let sim = settled(settings()).await;
    let hpas = "/apis/autoscaling/v2/namespaces/milvus-ha/horizontalpodautoscalers";
    let hpa = |spec: Value| json!({"metadata": {"name": "h"}, "spec": spec});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "milvus-proxy"});
    for (spec, field) in [
        (json!({"maxReplicas": 3}), "spec.scaleTargetRef.kind"),
        (json!({"scaleTargetRef": target}), "spec.maxReplicas"),
        (json!({"scaleTargetRef": target, "minReplicas": 0, "maxReplicas": 3}), "spec.minReplicas"),
        (json!({"scaleTargetRef": target, "minReplicas": 4, "maxReplicas": 3}), "spec.maxReplicas"),
    ] {
        let (code, refused) = send(&sim, "POST", hpas, hpa(spec)).await;
        assert_eq!(code, 422, "{refused}");
        assert!(
            refused["message"].as_str().is_some_and(|words| words.contains(field)),
            "{refused}"
        );
    }
    let sound = hpa(json!({"scaleTargetRef": target, "maxReplicas": 3}));
    assert_eq!(send(&sim, "POST", hpas, sound).await.0, 201);

    let keda = "/apis/keda.sh/v1alpha1/namespaces/milvus-ha/scaledobjects";
    assert_eq!(get(&sim, keda).await.0, 404);
    assert_eq!(get(&sim, "/apis/keda.sh/v1alpha1").await.0, 404);
    let definition = json!({"metadata": {"name": "scaledobjects.keda.sh"}, "spec": {}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(send(&sim, "POST", definitions, definition).await.0, 201);
    assert_eq!(get(&sim, keda).await.0, 200);
    let object = |spec: Value| json!({"metadata": {"name": "k"}, "spec": spec});
    let target = json!({"name": "milvus-proxy"});
    let (code, refused) = send(&sim, "POST", keda, object(json!({"scaleTargetRef": target}))).await;
    assert_eq!(code, 422, "it has no triggers: {refused}");
    let sound = object(json!({"scaleTargetRef": target, "triggers": []}));
    assert_eq!(send(&sim, "POST", keda, sound).await.0, 201);

    let milvuses = "/apis/milvus.io/v1beta1/namespaces/milvus-ha/milvuses";
    let milvus = |replicas: Value| {
        json!({"metadata": {"name": "m"},
            "spec": {"components": {"proxy": {"replicas": replicas}}}})
    };
    for replicas in [json!(-2), json!("3"), json!(1.5)] {
        let (code, refused) = send(&sim, "POST", milvuses, milvus(replicas)).await;
        assert_eq!(code, 422, "{refused}");
    }
    assert_eq!(send(&sim, "POST", milvuses, milvus(json!(-1))).await.0, 201);
}

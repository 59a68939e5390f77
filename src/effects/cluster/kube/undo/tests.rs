use super::*;
use crate::model::{WorkloadKind, WorkloadRef};

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

fn template(image: &str) -> Value {
    json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": "p"}},
        "spec": {"containers": [{"name": "proxy", "image": image, "env": [{"name": "A"}]}],
            "terminationGracePeriodSeconds": 30},
    })
}

fn deployment(template: &Value) -> DynamicObject {
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "p", "uid": "u", "resourceVersion": "77"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "p", "x": "y"}},
            "template": template},
    }))
}

fn set(number: u64, owner: &str, mut template: Value) -> DynamicObject {
    let hash = format!("h{number}");
    template["metadata"]["labels"][TEMPLATE_HASH] = json!(hash);
    object(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("p-{hash}"), "labels": {TEMPLATE_HASH: hash},
            "annotations": {"deployment.kubernetes.io/revision": number.to_string()},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "p",
                "uid": owner, "controller": true}]},
        "spec": {"template": template},
    }))
}

fn request(from_revision: u64, to_revision: u64) -> RollbackRequest {
    let workload =
        WorkloadRef { kind: WorkloadKind::Deployment, namespace: "ns".into(), name: "p".into() };
    RollbackRequest { workload, from_revision, to_revision, idempotency_key: "i/1".to_owned() }
}

/// Revision 1, a bad revision 2, a restart of that, and somebody else's.
fn history() -> Vec<DynamicObject> {
    let mut bad = template("m:2");
    bad["spec"]["hostNetwork"] = json!(true);
    let mut restarted = bad.clone();
    restarted["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/restartedAt": "now"});
    vec![
        set(2, "u", bad),
        set(9, "another", template("m:9")),
        set(1, "u", template("m:1")),
        set(3, "u", restarted),
    ]
}

fn newest() -> Value {
    let mut newest = history()[3].data["spec"]["template"].clone();
    newest["metadata"]["labels"] = json!({"app": "p"});
    newest
}

fn merged(mut target: Value, patch: &Value) -> Value {
    let (Value::Object(fields), Value::Object(changes)) = (&mut target, patch) else {
        return patch.clone();
    };
    for (key, change) in changes {
        let old = fields.remove(key).unwrap_or(Value::Null);
        if !change.is_null() {
            fields.insert(key.clone(), merged(old, change));
        }
    }
    target
}

#[test]
fn the_patch_makes_exactly_the_earlier_template_and_holds_the_version_that_was_read() {
    // The number of before the restart and the one of after it are the same revision.
    for from in [2, 3] {
        let Undo(patch) =
            patch(&deployment(&newest()), &history(), &request(from, 1)).expect("a patch");
        assert_eq!(patch["metadata"]["resourceVersion"], "77");
        assert_eq!(patch["metadata"]["annotations"][RESTART_KEY], "i/1");
        let mut expected = template("m:1");
        expected["metadata"] = json!({"labels": {"app": "p"}});
        assert_eq!(merged(newest(), &patch["spec"]["template"]), expected);
        assert_eq!(patch["spec"]["template"]["spec"]["hostNetwork"], Value::Null);
        assert!(patch["spec"]["template"]["spec"].get("terminationGracePeriodSeconds").is_none());
    }
}

#[test]
fn what_changed_since_the_decision_is_not_rolled_back() {
    let now = deployment(&newest());
    let changed = |result: Result<Undo, Refusal>| {
        assert!(matches!(result, Err(Refusal::Changed(_))), "{result:?}");
    };
    changed(patch(&now, &history(), &request(1, 1)));
    changed(patch(&now, &[], &request(2, 1)));
    changed(patch(&deployment(&template("m:4")), &history(), &request(2, 1)));
    assert_eq!(patch(&now, &history(), &request(2, 8)), Err(Refusal::Gone));
    // Another Deployment's revision is nobody's to return to.
    assert_eq!(patch(&now, &history(), &request(2, 9)), Err(Refusal::Gone));
    let same = patch(&now, &history(), &request(3, 2));
    assert!(matches!(same, Err(Refusal::Never(_))), "{same:?}");
}

#[test]
fn what_somebody_else_decides_on_is_left_to_them() {
    let refused = |change: fn(&mut DynamicObject)| {
        let mut deployment = deployment(&newest());
        change(&mut deployment);
        match check(&deployment) {
            Err(Refusal::Never(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(check(&deployment(&newest())), Ok(()));
    let operated = refused(|deployment| {
        deployment.metadata.owner_references =
            serde_json::from_value(json!([{"apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
                "name": "ha", "uid": "o", "controller": true}]))
            .ok();
    });
    assert!(operated.contains("return the custom resource ha to its earlier state"), "{operated}");
    let owned = refused(|deployment| {
        deployment.metadata.owner_references =
            serde_json::from_value(json!([{"apiVersion": "x/v1", "kind": "Fleet", "name": "f",
                "uid": "o", "controller": true}]))
            .ok();
    });
    assert!(owned.contains("Fleet f owns it"), "{owned}");
    let paused = refused(|deployment| deployment.data["spec"]["paused"] = json!(true));
    assert!(paused.contains("paused"), "{paused}");
    let idle = refused(|deployment| deployment.data["spec"]["replicas"] = json!(0));
    assert!(idle.contains("no replicas"), "{idle}");
}

#[test]
fn the_same_rollback_is_done_once_and_the_sets_are_found_by_the_selector() {
    let mut now = deployment(&newest());
    assert!(!is_done(&now, &request(3, 1)));
    now.metadata.annotations = Some([(RESTART_KEY.to_owned(), "i/1".to_owned())].into());
    assert!(is_done(&now, &request(3, 1)));
    assert_eq!(selector(&now), "app=p,x=y");
}

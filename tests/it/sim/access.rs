//! Rules of access: enforced, answered about, and the record of what was used.

use falconer::sim::{AccessRule, UsedAccess};
use serde_json::json;

use super::{get, send, settings, settled};

#[tokio::test]
async fn what_no_rule_grants_is_forbidden_and_everything_asked_is_on_record() {
    let sim = settled(settings()).await;
    let pods = "/api/v1/namespaces/milvus-ha/pods";
    assert_eq!(get(&sim, "/api/v1/namespaces/milvus-ha/secrets").await.0, 200, "no rules yet");
    sim.enforce_access(Some(AccessRule::of_role(&json!({"kind": "Role", "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    ]}))));
    assert_eq!(get(&sim, pods).await.0, 200);
    let name = sim.pods("proxy").remove(0).name;
    let (code, answer) = get(&sim, &format!("{pods}/{name}/log")).await;
    assert_eq!((code, &answer["reason"]), (403, &json!("Forbidden")));
    let message = answer["message"].as_str().expect("a message");
    let start = format!("pods \"{name}\" is forbidden: User \"system:serviceaccount:");
    let end = "cannot get resource \"pods/log\" in API group \"\" in the namespace \"milvus-ha\"";
    assert!(message.starts_with(&start) && message.ends_with(end), "{message}");
    let (code, answer) = get(&sim, "/api/v1/pods").await;
    assert_eq!(code, 403, "a Role is for one namespace");
    assert!(answer["message"].as_str().is_some_and(|text| text.ends_with("at the cluster scope")));
    let eviction = json!({"kind": "Eviction", "metadata": {"name": name}});
    assert_eq!(send(&sim, "POST", &format!("{pods}/{name}/eviction"), eviction).await.0, 201);

    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, allowed) in [("list", true), ("delete", false)] {
        let asked = json!({"spec": {"resourceAttributes":
            {"namespace": "milvus-ha", "verb": verb, "resource": "pods"}}});
        let (_, answer) = send(&sim, "POST", review, asked).await;
        assert_eq!(answer["status"]["allowed"], allowed, "{verb}");
    }
    let used = |resource: &str, verb: &str| UsedAccess {
        group: String::new(),
        resource: resource.to_owned(),
        verb: verb.to_owned(),
    };
    let expected = [
        used("pods", "list"),
        used("pods/eviction", "create"),
        used("pods/log", "get"),
        used("secrets", "list"),
    ];
    assert_eq!(sim.used_access().into_iter().collect::<Vec<_>>(), expected);
    sim.enforce_access(None);
    assert_eq!(get(&sim, "/api/v1/pods").await.0, 200);
}

//! The exact changes falconer makes to Kubernetes objects, as pure data: paths, patch bodies and
//! their text. Sends nothing.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Value, json};

use super::exact::{ExactPatch, PatchType};
use crate::effects::{
    DeletePodRequest, RemovalPreference, RestartRequest, RollbackRequest, ScaleRequest,
};
use crate::model::{ClusterEvent, EventType, Timestamp, WorkloadKind, WorkloadRef};

/// Who changed it, in managed fields and events.
pub const FIELD_MANAGER: &str = "falconer";
/// On the workload itself: the key of the restart or rollback that was done last.
pub const RESTART_KEY: &str = "falconer.io/restart-key";
/// On the pod template; its change is what makes the platform replace the pods.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// On the workload: what `kubectl rollout history` shows as the reason of its newest revision.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// On a pod: of the pods of a Deployment those with the lowest cost are removed first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Less than the 0 of every other pod.
const REMOVED_FIRST: &str = "-100";
/// Longest message of an Event, in bytes; the API takes no more.
const EVENT_MESSAGE_LIMIT: usize = 1024;

/// The resource's plural; `None` for what is no Kubernetes workload.
pub const fn plural(kind: WorkloadKind) -> Option<&'static str> {
    match kind {
        WorkloadKind::Deployment => Some("deployments"),
        WorkloadKind::StatefulSet => Some("statefulsets"),
        WorkloadKind::DaemonSet => Some("daemonsets"),
        WorkloadKind::Process => None,
    }
}

fn path(workload: &WorkloadRef) -> String {
    let resource = plural(workload.kind).unwrap_or("processes");
    format!("/apis/apps/v1/namespaces/{}/{resource}/{}", workload.namespace, workload.name)
}

/// The strategic merge patch of a rolling restart: what `kubectl rollout restart` writes, and the
/// idempotency key on the workload's own metadata, where it replaces no pod.
pub fn restart_patch(request: &RestartRequest) -> Value {
    json!({
        "metadata": {"annotations": {RESTART_KEY: request.idempotency_key}},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: to_seconds(request.at)}}}},
    })
}

/// A restart as text, e.g. `PATCH /apis/apps/v1/namespaces/ns/deployments/milvus-proxy {"spec":…}`.
pub fn restart_change(request: &RestartRequest) -> String {
    format!("PATCH {} {}", path(&request.workload), restart_patch(request))
}

/// The change of a workload's scale subresource, if it is still of this version.
pub fn scale_patch(request: &ScaleRequest, version: &str) -> ExactPatch {
    let body = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": request.to}});
    ExactPatch::new(&format!("{}/scale", path(&request.workload)), PatchType::Merge, &body)
}

/// The change of a Milvus custom resource. A version of it that does not know the field refuses it.
pub fn milvus_patch(namespace: &str, name: &str, (kind, body): (PatchType, Value)) -> ExactPatch {
    let path = format!("/apis/milvus.io/v1beta1/namespaces/{namespace}/milvuses/{name}");
    ExactPatch::new(&path, kind, &body).strict()
}

/// The annotations that a rollback leaves on the workload.
pub fn rollback_annotations(request: &RollbackRequest) -> Value {
    let (from, to) = (request.from_revision, request.to_revision);
    let cause = format!("falconer: returned from revision {from} to revision {to}");
    json!({RESTART_KEY: request.idempotency_key, CHANGE_CAUSE: cause})
}

/// A rollback as text, without the template itself, which may hold secrets.
pub fn rollback_change(request: &RollbackRequest) -> String {
    let (from, to) = (request.from_revision, request.to_revision);
    let patch = json!({"metadata": {"annotations": rollback_annotations(request)}});
    let object = path(&request.workload);
    format!("PATCH {object} {patch}, and the template of revision {to} instead of {from}'s")
}

/// The body of an eviction. The client's own call names the options in a way that the API ignores.
pub fn eviction(workload: &WorkloadRef, pod: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": workload.namespace},
        "deleteOptions": {"preconditions": {"uid": uid}},
    })
}

/// The removal of a pod as text, e.g. `POST …/pods/milvus-proxy-5d9f/eviction {…}`.
pub fn delete_pod_change(request: &DeletePodRequest) -> String {
    let (workload, pod) = (&request.workload, &request.pod);
    let uid = request.uid.as_deref().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{}/pods/{pod}", workload.namespace);
    if request.force {
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
        format!("DELETE {path} {options}")
    } else {
        format!("POST {path}/eviction {}", eviction(workload, pod, uid))
    }
}

/// What makes a pod go first when replicas are removed; `null` takes it back.
pub fn removal_preference(request: &RemovalPreference) -> Value {
    let cost = if request.preferred { json!(REMOVED_FIRST) } else { Value::Null };
    let mut patch = json!({"metadata": {"annotations": {DELETION_COST: cost}}});
    if let Some(uid) = &request.uid {
        patch["metadata"]["uid"] = json!(&**uid);
    }
    patch
}

/// The same as text, e.g. `PATCH …/pods/milvus-querynode-5d9f {…}`.
pub fn removal_preference_change(request: &RemovalPreference) -> String {
    let (namespace, pod) = (&request.workload.namespace, &request.pod);
    let patch = removal_preference(request);
    format!("PATCH /api/v1/namespaces/{namespace}/pods/{pod} {patch}")
}

/// RFC 3339 with seconds, as kubectl writes it.
fn to_seconds(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// The core/v1 Event that `kubectl describe` and `kubectl get events` show in full. `sequence`
/// keeps two events of one millisecond apart.
pub fn event(event: &ClusterEvent, uid: Option<String>, now: Timestamp, sequence: u64) -> Event {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let time = k8s_openapi::jiff::Timestamp::from_millisecond(millis).ok().map(Time);
    let workload = &event.workload;
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}.{sequence:x}", workload.name, now.as_millis())),
            namespace: Some(workload.namespace.to_string()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some(workload.kind.as_str().to_owned()),
            name: Some(workload.name.to_string()),
            namespace: Some(workload.namespace.to_string()),
            uid,
            ..ObjectReference::default()
        },
        reason: Some(event.reason.to_owned()),
        message: Some(cut(&event.message)),
        type_: Some(
            match event.event_type {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            }
            .to_owned(),
        ),
        first_timestamp: time.clone(),
        last_timestamp: time,
        count: Some(1),
        source: Some(EventSource { component: Some(FIELD_MANAGER.to_owned()), host: None }),
        reporting_component: Some(FIELD_MANAGER.to_owned()),
        ..Event::default()
    }
}

fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(EVENT_MESSAGE_LIMIT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> WorkloadRef {
        WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "milvus-ha".into(),
            name: "milvus-proxy".into(),
        }
    }

    #[test]
    fn a_restart_is_what_kubectl_writes_and_the_key_beside_it() {
        let request = RestartRequest {
            workload: proxy(),
            at: Timestamp::from_millis(1_767_225_600_042),
            idempotency_key: "incident/1".to_owned(),
        };
        assert_eq!(
            restart_change(&request),
            "PATCH /apis/apps/v1/namespaces/milvus-ha/deployments/milvus-proxy \
             {\"metadata\":{\"annotations\":{\"falconer.io/restart-key\":\"incident/1\"}},\
             \"spec\":{\"template\":{\"metadata\":{\"annotations\":\
             {\"kubectl.kubernetes.io/restartedAt\":\"2026-01-01T00:00:00Z\"}}}}}"
        );
    }

    #[test]
    fn a_scaling_goes_through_the_scale_subresource() {
        let request = ScaleRequest { workload: proxy(), from: 2, to: 3 };
        assert_eq!(
            scale_patch(&request, "7").to_string(),
            "PATCH /apis/apps/v1/namespaces/milvus-ha/deployments/milvus-proxy/scale\
             ?fieldManager=falconer application/merge-patch+json \
             {\"metadata\":{\"resourceVersion\":\"7\"},\"spec\":{\"replicas\":3}}"
        );
    }

    fn delete_of(force: bool) -> DeletePodRequest {
        DeletePodRequest {
            workload: proxy(),
            pod: "milvus-proxy-5d9f".into(),
            uid: Some("u-1".into()),
            force,
            idempotency_key: "incident/1".to_owned(),
        }
    }

    #[test]
    fn a_pod_is_evicted_or_forced_but_only_the_one_that_was_meant() {
        assert_eq!(
            delete_pod_change(&delete_of(false)),
            "POST /api/v1/namespaces/milvus-ha/pods/milvus-proxy-5d9f/eviction \
             {\"apiVersion\":\"policy/v1\",\"deleteOptions\":{\"preconditions\":{\"uid\":\"u-1\"}},\
             \"kind\":\"Eviction\",\"metadata\":{\"name\":\"milvus-proxy-5d9f\",\
             \"namespace\":\"milvus-ha\"}}"
        );
        assert_eq!(
            delete_pod_change(&delete_of(true)),
            "DELETE /api/v1/namespaces/milvus-ha/pods/milvus-proxy-5d9f \
             {\"gracePeriodSeconds\":0,\"preconditions\":{\"uid\":\"u-1\"}}"
        );
    }

    #[test]
    fn a_rollback_is_told_without_the_template() {
        let request = RollbackRequest {
            workload: proxy(),
            from_revision: 7,
            to_revision: 5,
            idempotency_key: "incident/2".to_owned(),
        };
        assert_eq!(
            rollback_change(&request),
            "PATCH /apis/apps/v1/namespaces/milvus-ha/deployments/milvus-proxy \
             {\"metadata\":{\"annotations\":{\"falconer.io/restart-key\":\"incident/2\",\
             \"kubernetes.io/change-cause\":\
             \"falconer: returned from revision 7 to revision 5\"}}}, \
             and the template of revision 5 instead of 7's"
        );
    }

    #[test]
    fn an_event_names_the_workload_and_is_of_bounded_length() {
        let written = event(
            &ClusterEvent {
                workload: proxy(),
                event_type: EventType::Warning,
                reason: "RolloutRestarted",
                message: "é".repeat(5000),
            },
            Some("u-1".to_owned()),
            Timestamp::from_millis(1_767_225_600_000),
            1,
        );
        assert_eq!(written.involved_object.uid.as_deref(), Some("u-1"));
        assert_eq!(written.type_.as_deref(), Some("Warning"));
        assert!(written.message.is_some_and(|message| message.len() <= EVENT_MESSAGE_LIMIT));
        assert!(written.metadata.name.is_some_and(|name| name.starts_with("milvus-proxy.")));
    }
}

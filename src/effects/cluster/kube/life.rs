//! What a pod's object tells of its life: its identifier, its deletion, the grace and the patience
//! that the kubelet has with it. Pure; knows the kubelet's defaults.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::model::{Liveness, LivenessKind, PodLife, Terminating, Timestamp};

use super::pods::containers;
use super::revisions::{REVISION_HASH, TEMPLATE_HASH};

/// The kubelet's defaults for what a probe leaves out, in seconds and tries.
const PERIOD: i32 = 10;
const TIMEOUT: i32 = 1;
const FAILURES: i32 = 3;

/// The life of `pod`.
pub fn of(pod: &core::Pod) -> PodLife {
    let meta = &pod.metadata;
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
    let is_ending = meta.deletion_timestamp.is_some();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let finalizers = meta.finalizers.iter().flatten().filter(|_| is_ending);
    let restarts = pod.status.iter().flat_map(containers).map(|container| container.restart_count);
    PodLife {
        uid: meta.uid.as_deref().map(Into::into),
        created_at: meta.creation_timestamp.as_ref().and_then(timestamp),
        terminating: terminating(meta),
        template: label(TEMPLATE_HASH).or_else(|| label(REVISION_HASH)).map(|hash| (**hash).into()),
        taken_on_at: pod.status.as_ref().and_then(|status| timestamp(status.start_time.as_ref()?)),
        ready_changed_at: ready_changed_at(pod),
        restarts: restarts
            .fold(0, |sum: u32, count| sum.saturating_add(u32::try_from(count).unwrap_or(0))),
        starting_until: starting_until(pod),
        liveness: running(pod).filter_map(liveness).min_by_key(|liveness| liveness.deadline),
        node: node.filter(|_| is_ending).map(Into::into),
        finalizers: finalizers.map(|finalizer| finalizer.as_str().into()).collect(),
        log_file: None,
    }
}

fn ready_changed_at(pod: &core::Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    timestamp(ready.last_transition_time.as_ref()?)
}

/// A time of the API in the model's terms; `None` before 1970.
pub fn timestamp(time: &Time) -> Option<Timestamp> {
    u64::try_from(time.0.as_millisecond()).ok().map(Timestamp::from_millis)
}

fn terminating(meta: &ObjectMeta) -> Option<Terminating> {
    let until = timestamp(meta.deletion_timestamp.as_ref()?)?;
    let grace = meta.deletion_grace_period_seconds.unwrap_or(0);
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let since = Timestamp::from_millis(until.as_millis().saturating_sub(millis));
    Some(Terminating { since, grace })
}

/// The containers that run as long as the pod does: the ordinary ones and the sidecars.
fn running(pod: &core::Pod) -> impl Iterator<Item = &core::Container> {
    pod.spec.iter().flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|init| init.restart_policy.as_deref() == Some("Always"));
        spec.containers.iter().chain(sidecars)
    })
}

fn seconds(value: Option<i32>, default: i32) -> u32 {
    u32::try_from(value.unwrap_or(default)).unwrap_or(0)
}

/// How long a probe may fail before the kubelet acts.
fn patience(probe: &core::Probe) -> Duration {
    // The API takes no zero: one stands for the default.
    let period = seconds(probe.period_seconds.filter(|period| *period > 0), PERIOD);
    let failures = seconds(probe.failure_threshold.filter(|failures| *failures > 0), FAILURES);
    Duration::from_secs(u64::from(period) * u64::from(failures))
}

fn liveness(container: &core::Container) -> Option<Liveness> {
    let probe = container.liveness_probe.as_ref()?;
    let kind = if probe.tcp_socket.is_some() {
        LivenessKind::Tcp
    } else if probe.http_get.is_some() {
        LivenessKind::Http
    } else {
        LivenessKind::Other
    };
    let timeout = seconds(probe.timeout_seconds.filter(|timeout| *timeout > 0), TIMEOUT);
    let deadline = patience(probe) + Duration::from_secs(u64::from(timeout));
    Some(Liveness { kind, deadline })
}

/// The latest instant until which the kubelet lets one of the containers start. What was ready since
/// it began has started, however long its first delay is.
fn starting_until(pod: &core::Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let changed = ready.and_then(|ready| timestamp(ready.last_transition_time.as_ref()?));
    let is_ready = ready.is_some_and(|ready| ready.status == "True");
    running(pod)
        .filter_map(|container| {
            let seen = containers(status).find(|seen| seen.name == container.name)?;
            let running = seen.state.as_ref()?.running.as_ref()?;
            let began = timestamp(running.started_at.as_ref()?)?;
            if is_ready || changed.is_some_and(|changed| changed > began) {
                return None;
            }
            let grace = start_grace(container, seen.started == Some(true))?;
            let millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            Some(Timestamp::from_millis(began.as_millis().saturating_add(millis)))
        })
        .max()
}

/// Counted from the container's start. While a startup probe has not succeeded no other one is
/// asked.
fn start_grace(container: &core::Container, is_started: bool) -> Option<Duration> {
    let delay = |probe: &core::Probe| {
        Duration::from_secs(u64::from(seconds(probe.initial_delay_seconds, 0)))
    };
    let grace = match (&container.startup_probe, &container.liveness_probe) {
        (Some(startup), _) if !is_started => delay(startup) + patience(startup),
        (_, Some(liveness)) => delay(liveness),
        (_, None) => return None,
    };
    (!grace.is_zero()).then_some(grace)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BEGAN: u64 = 1_767_225_600_000; // 2026-01-01T00:00:00Z

    fn life(meta: Value, containers: Value, statuses: Value) -> PodLife {
        let pod = json!({"metadata": meta, "spec": {"containers": containers},
            "status": {"containerStatuses": statuses}});
        of(&serde_json::from_value(pod).expect("a pod"))
    }

    fn status(name: &str, started: bool, restarts: u32) -> Value {
        json!({"name": name, "image": "m", "imageID": "", "ready": false, "started": started,
            "restartCount": restarts, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}})
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with an option")]
    fn after(seconds: u64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(BEGAN + seconds * 1000))
    }

    #[test]
    fn a_pod_tells_which_one_it_is_and_what_it_was_made_from() {
        let seen = life(
            json!({"uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"pod-template-hash": "5d9f"}}),
            json!([]),
            json!([status("a", true, 3), status("b", true, 4)]),
        );
        assert_eq!(seen.uid.as_deref(), Some("u-1"));
        assert_eq!(seen.created_at, after(0));
        assert_eq!((seen.template.as_deref(), seen.restarts), (Some("5d9f"), 7));
        assert_eq!((seen.terminating, seen.liveness, seen.starting_until), (None, None, None));
        let labels = json!({"labels": {"controller-revision-hash": "s-7c"}});
        assert_eq!(life(labels, json!([]), json!([])).template.as_deref(), Some("s-7c"));
    }

    #[test]
    fn a_deletion_began_before_its_grace_period_however_long_that_is() {
        let seen = life(
            json!({"deletionTimestamp": "2026-01-31T00:00:00Z",
                "deletionGracePeriodSeconds": 2_592_000}),
            json!([]),
            json!([]),
        );
        let grace = Duration::from_secs(2_592_000);
        let since = Timestamp::from_millis(BEGAN);
        assert_eq!(seen.terminating, Some(Terminating { since, grace }));
        // A garbled grace period must not reach before the beginning of time.
        let meta = json!({"deletionTimestamp": "2026-01-31T00:00:00Z",
            "deletionGracePeriodSeconds": i64::MAX});
        let since = life(meta, json!([]), json!([])).terminating.map(|one| one.since);
        assert_eq!(since, Some(Timestamp::from_millis(0)));
    }

    #[test]
    fn a_startup_probe_that_has_not_succeeded_gives_time_and_then_the_first_delay_does() {
        // As milvus-operator writes them.
        let operator = json!([{"name": "querynode",
            "startupProbe": {"tcpSocket": {"port": 9091}, "initialDelaySeconds": 5,
                "periodSeconds": 10, "failureThreshold": 18},
            "livenessProbe": {"tcpSocket": {"port": 9091}, "periodSeconds": 15,
                "failureThreshold": 3, "timeoutSeconds": 3}}]);
        let starting = life(json!({}), operator.clone(), json!([status("querynode", false, 0)]));
        assert_eq!(starting.starting_until, after(5 + 180));
        let deadline = Duration::from_secs(48);
        assert_eq!(starting.liveness, Some(Liveness { kind: LivenessKind::Tcp, deadline }));
        let started = life(json!({}), operator, json!([status("querynode", true, 0)]));
        assert_eq!(started.starting_until, None);
        // As the Helm chart writes them.
        let helm = json!([{"name": "querynode", "livenessProbe": {"tcpSocket": {"port": 9091},
            "initialDelaySeconds": 90, "periodSeconds": 30, "failureThreshold": 5}}]);
        let young = life(json!({}), helm, json!([status("querynode", true, 0)]));
        assert_eq!(young.starting_until, after(90));
    }

    #[test]
    fn what_was_ready_since_it_began_is_not_starting_any_more() {
        let starting = |ready: &str, changed: &str| {
            let helm = json!([{"name": "querynode", "livenessProbe": {"tcpSocket": {"port": 9091},
                "initialDelaySeconds": 90, "periodSeconds": 30, "failureThreshold": 5}}]);
            let pod = json!({"metadata": {}, "spec": {"containers": helm}, "status": {
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": changed}],
                "containerStatuses": [status("querynode", true, 0)]}});
            of(&serde_json::from_value(pod).expect("a pod")).starting_until
        };
        assert_eq!(starting("True", "2026-01-01T00:00:09Z"), None);
        assert_eq!(starting("False", "2026-01-01T00:00:30Z"), None);
        // Not ready since before its container began: it is on its way.
        assert_eq!(starting("False", "2025-12-31T23:59:58Z"), after(90));
        assert_eq!(starting("False", "2026-01-01T00:00:00Z"), after(90));
    }

    #[test]
    fn of_several_liveness_probes_the_strictest_counts_with_the_kubelets_defaults() {
        let containers = json!([
            {"name": "a", "livenessProbe": {"httpGet": {"port": 9091}}},
            {"name": "b", "livenessProbe": {"exec": {}, "periodSeconds": 5, "failureThreshold": 1}},
            {"name": "c"},
        ]);
        let seen = life(json!({}), containers, json!([]));
        let deadline = Duration::from_secs(6);
        assert_eq!(seen.liveness, Some(Liveness { kind: LivenessKind::Other, deadline }));
        let alone = json!([{"name": "a", "livenessProbe": {"httpGet": {"port": 9091}}}]);
        let deadline = Duration::from_secs(31);
        assert_eq!(
            life(json!({}), alone, json!([])).liveness,
            Some(Liveness { kind: LivenessKind::Http, deadline })
        );
    }
}

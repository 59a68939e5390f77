//! A Kubernetes pod as the model's `Pod`: where it stands in its life, what it asked for. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::{Pod, PodCondition, Resources, Timestamp, WorkloadRef};

use super::life;
use super::quantity;

/// Longest message of the platform that is kept, in characters.
const MESSAGE_LIMIT: usize = 200;

/// The model's view of `pod`.
pub fn view(name: &str, pod: &core::Pod, workload: Option<WorkloadRef>) -> Pod {
    let status = pod.status.as_ref();
    Pod {
        name: name.into(),
        ip: status.and_then(|status| status.pod_ip.clone()).filter(|ip| !ip.is_empty()),
        condition: condition(pod),
        requests: resources(pod, |requirements| requirements.requests.as_ref()),
        limits: resources(pod, |requirements| requirements.limits.as_ref()),
        started_at: status.and_then(started_at),
        workload,
        life: life::of(pod),
    }
}

/// When the pod was started, or the newest of its containers if that was started again, or ended
/// and will be. The time of a container that keeps crashing is that of its pod.
fn started_at(status: &core::PodStatus) -> Option<Timestamp> {
    let newest = status.container_statuses.iter().flatten().filter_map(|container| {
        let state = container.state.as_ref()?;
        let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
        let ended = state.terminated.as_ref().and_then(|ended| ended.finished_at.as_ref());
        running.or(ended)
    });
    let times = status.start_time.iter().chain(newest);
    let times = times.filter_map(|time| u64::try_from(time.0.as_millisecond()).ok());
    times.max().map(Timestamp::from_millis)
}

fn condition(pod: &core::Pod) -> PodCondition {
    if pod.metadata.deletion_timestamp.is_some() {
        return PodCondition::Terminating;
    }
    let Some(status) = &pod.status else {
        return PodCondition::Pending { message: "not seen by a node yet".to_owned() };
    };
    let phase = status.phase.as_deref().unwrap_or("Pending");
    if matches!(phase, "Succeeded" | "Failed") {
        let reason = status.reason.as_deref().unwrap_or(phase);
        return PodCondition::Ended { message: line(reason, status.message.as_deref()) };
    }
    if let Some(message) = containers(status).find_map(cannot_start) {
        return PodCondition::CrashLoop { message };
    }
    if phase == "Pending" {
        return PodCondition::Pending { message: pending_message(status) };
    }
    match of_type(status, "Ready") {
        Some(ready) if ready.status == "True" => PodCondition::Ready,
        _ => PodCondition::NotReady,
    }
}

/// Every container's status, those of init containers first.
pub(super) fn containers(status: &core::PodStatus) -> impl Iterator<Item = &core::ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

/// Why a container keeps ending or cannot be made at all; `None` where it is on its way.
fn cannot_start(container: &core::ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if matches!(reason, "ContainerCreating" | "PodInitializing") {
        return None;
    }
    let restarts = match container.restart_count {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        count => format!(", {count} restarts"),
    };
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = last.map(|ended| {
        let why = ended.reason.as_deref().unwrap_or("ended");
        format!("last exit {} ({why})", ended.exit_code)
    });
    let detail = ended.or_else(|| waiting.message.clone());
    Some(line(&format!("container {}: {reason}{restarts}", container.name), detail.as_deref()))
}

fn pending_message(status: &core::PodStatus) -> String {
    if let Some(scheduled) = of_type(status, "PodScheduled")
        && scheduled.status != "True"
    {
        let reason = scheduled.reason.as_deref().unwrap_or("not scheduled");
        return line(reason, scheduled.message.as_deref());
    }
    let waiting = containers(status).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some(line(waiting.reason.as_deref()?, waiting.message.as_deref()))
    });
    waiting.unwrap_or_else(|| "waits to be started".to_owned())
}

fn of_type<'a>(status: &'a core::PodStatus, kind: &str) -> Option<&'a core::PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// One harmless line of bounded length.
pub(super) fn line(head: &str, detail: Option<&str>) -> String {
    let text = match detail.filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{head}: {detail}"),
        None => head.to_owned(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect()
}

/// The sum over the containers that run as long as the pod does: the ordinary ones and the
/// sidecars (init containers that restart always), as the HPA sums them. Values for the pod as a
/// whole, where they are set, win.
fn resources<'a>(
    pod: &'a core::Pod,
    pick: impl Fn(&'a core::ResourceRequirements) -> Option<&'a BTreeMap<String, Quantity>>,
) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|init| init.restart_policy.as_deref() == Some("Always"));
    let running: Vec<_> = spec.containers.iter().chain(sidecars).collect();
    let sum = |key: &str, parse: fn(&str) -> Option<u64>| {
        let read =
            |requirements: &'a core::ResourceRequirements| parse(&pick(requirements)?.get(key)?.0);
        spec.resources.as_ref().and_then(read).or_else(|| {
            running.iter().try_fold(0_u64, |sum, container| {
                sum.checked_add(container.resources.as_ref().and_then(read)?)
            })
        })
    };
    Resources {
        cpu_milli: sum("cpu", quantity::milli),
        memory_bytes: sum("memory", quantity::units),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value, status: Value) -> core::Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec, "status": status}))
            .expect("a pod")
    }

    fn condition_of(status: Value) -> PodCondition {
        view("p", &pod(json!({"containers": []}), status), None).condition
    }

    fn waiting(reason: &str, restarts: i32) -> Value {
        json!([{"name": "querynode", "image": "m", "imageID": "", "ready": false,
            "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": "back-off"}}}])
    }

    #[test]
    fn a_pod_that_waits_says_what_for() {
        let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
        assert_eq!(
            condition_of(unschedulable),
            PodCondition::Pending { message: "Unschedulable: 0/3 nodes are available".to_owned() }
        );
        let creating =
            json!({"phase": "Pending", "containerStatuses": waiting("ContainerCreating", 0)});
        assert_eq!(
            condition_of(creating),
            PodCondition::Pending { message: "ContainerCreating: back-off".to_owned() }
        );
    }

    #[test]
    fn a_container_that_cannot_start_is_a_crash_loop_whatever_the_phase() {
        for (phase, reason) in [
            ("Running", "CrashLoopBackOff"),
            ("Pending", "ImagePullBackOff"),
            ("Pending", "ErrImagePull"),
            ("Pending", "CreateContainerConfigError"),
            ("Pending", "CreateContainerError"),
        ] {
            let status = json!({"phase": phase, "containerStatuses": waiting(reason, 7)});
            let PodCondition::CrashLoop { message } = condition_of(status) else {
                panic!("{reason} is not a crash loop");
            };
            assert_eq!(message, format!("container querynode: {reason}, 7 restarts: back-off"));
        }
        let init =
            json!({"phase": "Pending", "initContainerStatuses": waiting("CrashLoopBackOff", 1)});
        assert!(matches!(condition_of(init), PodCondition::CrashLoop { .. }));
    }

    #[test]
    fn readiness_and_the_end_are_told_apart() {
        let ready = |status: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]});
        assert_eq!(condition_of(ready("True")), PodCondition::Ready);
        assert_eq!(condition_of(ready("False")), PodCondition::NotReady);
        assert_eq!(condition_of(json!({"phase": "Running"})), PodCondition::NotReady);
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
        assert_eq!(
            condition_of(evicted),
            PodCondition::Ended { message: "Evicted: low on memory".to_owned() }
        );
        let mut deleted = pod(json!({"containers": []}), ready("True"));
        deleted.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
        assert_eq!(view("p", &deleted, None).condition, PodCondition::Terminating);
    }

    #[test]
    fn a_container_that_was_started_again_makes_its_pod_young_but_not_one_that_keeps_crashing() {
        let started = |state: Value| {
            let containers = json!([{"name": "c", "image": "m", "imageID": "", "ready": false,
                "restartCount": 1, "state": state}]);
            let status = json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z",
                "containerStatuses": containers});
            let seen = view("p", &pod(json!({"containers": []}), status), None).started_at;
            seen.expect("a time").to_string()
        };
        let running = json!({"running": {"startedAt": "2026-01-02T00:00:00Z"}});
        assert_eq!(started(running), "2026-01-02T00:00:00.000Z");
        let ended = json!({"terminated": {"exitCode": 1, "finishedAt": "2026-01-03T00:00:00Z"}});
        assert_eq!(started(ended), "2026-01-03T00:00:00.000Z");
        let crashing = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        assert_eq!(started(crashing), "2026-01-01T00:00:00.000Z");
    }

    #[test]
    fn requests_are_summed_over_containers_and_sidecars_but_not_over_init_containers() {
        let container = |cpu: &str, memory: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}});
        let mut sidecar = container("100m", "64Mi");
        sidecar["restartPolicy"] = json!("Always");
        let spec = json!({
            "containers": [container("1.5", "1Gi"), container("500m", "1G")],
            "initContainers": [container("4", "8Gi"), sidecar],
        });
        let seen = view("p", &pod(spec, json!({})), None);
        assert_eq!(seen.requests.cpu_milli, Some(2100));
        assert_eq!(seen.requests.memory_bytes, Some((1 << 30) + 1_000_000_000 + (64 << 20)));
        assert_eq!(seen.limits, Resources::default());
    }

    #[test]
    fn one_container_without_a_value_leaves_the_sum_unknown_unless_the_pod_has_one() {
        let containers = json!([
            {"name": "a", "resources": {"limits": {"cpu": "1", "memory": "oops"}}},
            {"name": "b", "resources": {"limits": {"memory": "1Gi"}}},
        ]);
        let seen = view("p", &pod(json!({"containers": containers}), json!({})), None);
        assert_eq!(seen.limits, Resources::default());
        let spec = json!({"containers": containers, "resources": {"limits": {"cpu": "2"}}});
        assert_eq!(view("p", &pod(spec, json!({})), None).limits.cpu_milli, Some(2000));
    }
}

//! What else scales a workload: an HPA, a KEDA object, or milvus-operator. Pure.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::DynamicObject;

use crate::model::{Autoscaler, WorkloadRef};

use super::objects::Objects;

/// The autoscaler of `workload`. `unknown` says why HPAs cannot be told, where they cannot: then
/// the answer is never "none".
pub fn autoscaler(
    objects: &Objects,
    unknown: Option<&str>,
    workload: &WorkloadRef,
) -> Option<Autoscaler> {
    let keda = objects.keda.iter().find(|(_, object)| keda_targets(object, workload));
    let hpa = objects.autoscalers.iter().find(|(_, hpa)| hpa_targets(hpa, workload));
    let known =
        |kind: &str, name: &str| Autoscaler { kind: kind.to_owned(), name: name.to_owned() };
    // KEDA works through an HPA of its own; the ScaledObject is what a person would change.
    keda.map(|(name, _)| known("ScaledObject", name))
        .or_else(|| hpa.map(|(name, _)| known("HorizontalPodAutoscaler", name)))
        .or_else(|| unknown.map(Autoscaler::unknown))
}

fn hpa_targets(hpa: &HorizontalPodAutoscaler, workload: &WorkloadRef) -> bool {
    let target = &hpa.spec.scale_target_ref;
    target.kind == workload.kind.as_str() && *target.name == *workload.name
}

fn keda_targets(object: &DynamicObject, workload: &WorkloadRef) -> bool {
    let target = &object.data["spec"]["scaleTargetRef"];
    let kind = target["kind"].as_str().unwrap_or("Deployment");
    kind == workload.kind.as_str() && target["name"].as_str() == Some(&*workload.name)
}

//! What else scales a workload: an HPA, a KEDA object, or somebody to whom milvus-operator has left
//! the replicas. Pure.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::model::{Autoscaler, WorkloadRef};

/// What an autoscaler would have to target: a workload, and the custom resource in which its number
/// of replicas stands, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The workload.
    pub workload: &'a WorkloadRef,
    /// The name of the Milvus custom resource that owns it.
    pub milvus: Option<&'a str>,
}

impl Target<'_> {
    /// The autoscaler that scales it. `unknown` says why some cannot be told, where they cannot: then
    /// the answer is never "none".
    pub fn autoscaler<'o>(
        self,
        mut hpas: impl Iterator<Item = &'o HorizontalPodAutoscaler>,
        mut keda: impl Iterator<Item = &'o DynamicObject>,
        unknown: Option<&str>,
    ) -> Option<Autoscaler> {
        let known = |kind: &str, name: String| Autoscaler { kind: kind.to_owned(), name };
        // KEDA works through an HPA of its own; the ScaledObject is what a person would change.
        let keda = keda.find(|object| self.is_scaled_by(object));
        let mut hpa = || hpas.find(|hpa| self.is_target_of(hpa));
        keda.map(|object| known("ScaledObject", object.name_any()))
            .or_else(|| hpa().map(|hpa| known("HorizontalPodAutoscaler", hpa.name_any())))
            .or_else(|| unknown.map(Autoscaler::unknown))
    }

    fn is_target_of(self, hpa: &HorizontalPodAutoscaler) -> bool {
        let target = &hpa.spec.scale_target_ref;
        self.is(&target.kind, &target.name)
    }

    fn is_scaled_by(self, object: &DynamicObject) -> bool {
        let target = &object.data["spec"]["scaleTargetRef"];
        let kind = target["kind"].as_str().unwrap_or("Deployment");
        self.is(kind, target["name"].as_str().unwrap_or_default())
    }

    fn is(self, kind: &str, name: &str) -> bool {
        let is_workload = kind == self.workload.kind.as_str() && name == &*self.workload.name;
        is_workload || (kind == "Milvus" && self.milvus == Some(name))
    }
}

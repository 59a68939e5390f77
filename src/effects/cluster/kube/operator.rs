//! What a Milvus custom resource says about the Deployments that milvus-operator makes from it.
//! Pure; owns the field, label and annotation names of milvus.io/v1beta1.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::model::Role;

use super::labels::Labels;

/// How a role's settings are called in `spec.components`.
const fn field(role: Role) -> &'static str {
    match role {
        Role::Proxy => "proxy",
        Role::MixCoord => "mixCoord",
        Role::RootCoord => "rootCoord",
        Role::DataCoord => "dataCoord",
        Role::QueryCoord => "queryCoord",
        Role::IndexCoord => "indexCoord",
        Role::DataNode => "dataNode",
        Role::QueryNode => "queryNode",
        Role::IndexNode => "indexNode",
        Role::StreamingNode => "streamingNode",
        Role::Standalone => "standalone",
        Role::Cdc => "cdc",
    }
}

/// One component as its custom resource describes it.
#[derive(Debug, Clone, Copy)]
pub struct Managed<'a> {
    milvus: &'a DynamicObject,
    role: Role,
}

impl<'a> Managed<'a> {
    /// The component `role` of `milvus`.
    pub fn new(milvus: &'a DynamicObject, role: Role) -> Self {
        Self { milvus, role }
    }

    /// Whether somebody has taken it out of the operator's hands for the moment.
    pub fn is_paused(&self) -> bool {
        let components = &self.milvus.data["spec"]["components"];
        let is_true = |value: &Value| value.as_bool().unwrap_or(false);
        is_true(&components["paused"])
            || is_true(&components["enableManualMode"])
            || is_true(&components[field(self.role)]["paused"])
    }

    /// Whether the operator is replacing the pods of the Deployment with these labels, or has not
    /// yet brought its objects in line with the custom resource.
    pub fn is_rolling_out(&self, deployment: &Labels, replicas: u32) -> bool {
        let rolling = format!("milvus.io/{}-rolling-id", self.role);
        let labels = self.milvus.metadata.labels.as_ref();
        let has_rolling_id = labels.is_some_and(|labels| labels.contains_key(&rolling));
        has_rolling_id || self.is_leaving_group(deployment, replicas) || self.is_behind()
    }

    /// Of two Deployments of a component only the current group's is to have pods.
    fn is_leaving_group(&self, deployment: &Labels, replicas: u32) -> bool {
        let current = self.milvus.metadata.annotations.as_ref().and_then(|annotations| {
            annotations.get(&format!("milvus.io/{}-current-group-id", self.role))
        });
        let own = deployment.get(&format!("milvus.io/{}-group-id", self.role));
        replicas > 0 && matches!((current, own), (Some(current), Some(own)) if current != own)
    }

    /// `MilvusUpdated` is false while the operator carries a change out.
    fn is_behind(&self) -> bool {
        let conditions = self.milvus.data["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "MilvusUpdated" && condition["status"] == "False")
    }

    /// Whether the operator writes the number of replicas; -1 hands it to somebody else.
    pub fn owns_replicas(&self) -> bool {
        self.milvus.data["spec"]["components"][field(self.role)]["replicas"].as_i64() != Some(-1)
    }
}

//! What a Milvus custom resource says about the Deployments that milvus-operator makes from it.
//! Pure; owns the field, label and annotation names of milvus.io/v1beta1.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::model::{Hold, Role};

use super::labels::Labels;
use super::pods::line;

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

    /// Why the Deployment with these labels and so many replicas is to be left alone.
    pub fn holds(&self, deployment: &Labels, replicas: u32) -> Vec<Hold> {
        let mut holds = self.pauses();
        holds.extend(self.change_under_way());
        holds.extend(self.rolling_id());
        holds.extend(self.group_to_come(deployment, replicas));
        holds
    }

    /// How somebody has taken it out of the operator's hands for the moment.
    fn pauses(&self) -> Vec<Hold> {
        let components = &self.milvus.data["spec"]["components"];
        let pauses = [
            (&components["paused"], Hold::ClusterPaused),
            (&components[field(self.role)]["paused"], Hold::ComponentPaused),
            (&components["enableManualMode"], Hold::ManualMode),
        ];
        let is_set = |(value, _): &(&Value, Hold)| value.as_bool() == Some(true);
        pauses.into_iter().filter(is_set).map(|(_, hold)| hold).collect()
    }

    /// `MilvusUpdated` is false while the operator carries a change out.
    fn change_under_way(&self) -> Option<Hold> {
        let conditions = self.milvus.data["status"]["conditions"].as_array()?;
        let updated = conditions
            .iter()
            .find(|one| one["type"] == "MilvusUpdated" && one["status"] == "False")?;
        let text = |field: &str| updated[field].as_str().filter(|text| !text.is_empty());
        let words = match (text("reason"), text("message")) {
            (Some(reason), Some(message)) => format!("{reason}: {message}"),
            (reason, message) => reason.or(message).unwrap_or_default().to_owned(),
        };
        Some(Hold::Updating { message: line(&words, None) })
    }

    /// The operator marks the custom resource while it replaces the component's pods.
    fn rolling_id(&self) -> Option<Hold> {
        let labels = self.milvus.metadata.labels.as_ref()?;
        let id = labels.get(&format!("milvus.io/{}-rolling-id", self.role))?;
        Some(Hold::Rolling { id: line(id, None) })
    }

    /// Of two Deployments of a component only the current group's is to have pods.
    fn group_to_come(&self, deployment: &Labels, replicas: u32) -> Option<Hold> {
        let annotations = self.milvus.metadata.annotations.as_ref()?;
        let current = annotations.get(&format!("milvus.io/{}-current-group-id", self.role))?;
        let own = deployment.get(&format!("milvus.io/{}-group-id", self.role))?;
        let is_left = replicas > 0 && current != own;
        is_left.then(|| Hold::LeavingGroup { current: line(current, None) })
    }

    /// Whether the operator writes the number of replicas; -1 hands it to somebody else.
    pub fn owns_replicas(&self) -> bool {
        self.milvus.data["spec"]["components"][field(self.role)]["replicas"].as_i64() != Some(-1)
    }
}

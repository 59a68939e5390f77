//! What a Milvus custom resource says about the Deployments that milvus-operator makes from it.
//! Pure; owns the field, label and annotation names of milvus.io/v1beta1.

use std::fmt;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::model::{Hold, Role};

use super::exact::PatchType;
use super::labels::Labels;
use super::pods::line;

/// The label with the deployment group of a workload, where a component has several.
const DEPLOYMENT_GROUP: &str = "milvus.io/deployment-group";

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

    /// Where it says how many replicas the Deployment (or `StatefulSet`) with these labels is to have.
    pub fn replicas(&self, workload: &Labels) -> Replicas {
        let name = field(self.role);
        let component = &self.milvus.data["spec"]["components"][name];
        let path = format!("spec.components.{name}");
        if component["hpa"].is_object() {
            return Replicas::HandedOver { why: format!("{path}.hpa is set") };
        }
        let groups = component["groups"].as_array().map_or(&[][..], Vec::as_slice);
        if groups.is_empty() {
            let at = ReplicasField { component: name, group: None };
            // The operator's own default where nothing is said.
            let value = Some(&component["replicas"]).filter(|value| !value.is_null());
            return Replicas::read(at, value.unwrap_or(&Value::from(1)));
        }
        let own = workload.get(DEPLOYMENT_GROUP).map_or("", String::as_str);
        let found = groups.iter().position(|group| group["name"].as_str() == Some(own));
        let Some(index) = found else {
            let why = format!("{path}.groups has no group {:?}", line(own, None));
            return Replicas::Unclear { why };
        };
        let group = Some((index, own.to_owned()));
        Replicas::read(ReplicasField { component: name, group }, &groups[index]["replicas"])
    }
}

/// The field of a Milvus custom resource that holds a number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicasField {
    /// The component's name in `spec.components`.
    component: &'static str,
    /// Its deployment group: its place in the list, and its name.
    group: Option<(usize, String)>,
}

impl ReplicasField {
    /// The patch that sets it to `to` in the custom resource of this version only.
    ///
    /// A merge patch cannot change one element of a list, so a group takes a JSON patch.
    pub fn patch(&self, version: &str, to: u32) -> (PatchType, Value) {
        let components = "/spec/components";
        let Some((index, name)) = &self.group else {
            let component = json!({self.component: {"replicas": to}});
            let spec = json!({"components": component});
            return (
                PatchType::Merge,
                json!({"metadata": {"resourceVersion": version}, "spec": spec}),
            );
        };
        let group = format!("{components}/{}/groups/{index}", self.component);
        let patch = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "test", "path": format!("{group}/name"), "value": name},
            {"op": "replace", "path": format!("{group}/replicas"), "value": to},
        ]);
        (PatchType::Json, patch)
    }

    /// What stands in it in `milvus`.
    pub fn read(&self, milvus: &Value) -> Option<u64> {
        let component = &milvus["spec"]["components"][self.component];
        let holder = self.group.as_ref().map_or(component, |(at, _)| &component["groups"][at]);
        holder["replicas"].as_u64()
    }

    /// The names that lead to it in managed fields.
    pub fn managed_path(&self) -> Vec<String> {
        let mut path = vec!["f:spec".to_owned(), "f:components".to_owned()];
        path.push(format!("f:{}", self.component));
        if let Some((_, name)) = &self.group {
            path.extend(["f:groups".to_owned(), format!("k:{}", json!({"name": name}))]);
        }
        path.push("f:replicas".to_owned());
        path
    }
}

/// As `spec.components.queryNode.replicas`.
impl fmt::Display for ReplicasField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.components.{}", self.component)?;
        if let Some((_, name)) = &self.group {
            write!(f, ".groups[{}]", line(name, None))?;
        }
        f.write_str(".replicas")
    }
}

/// What a custom resource says about the replicas of one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replicas {
    /// So many are wanted.
    Wanted {
        /// Where that stands.
        at: ReplicasField,
        /// How many.
        count: u32,
    },
    /// They are left to an HPA.
    HandedOver {
        /// What says so.
        why: String,
    },
    /// It cannot be told.
    Unclear {
        /// Why.
        why: String,
    },
}

impl Replicas {
    fn read(at: ReplicasField, value: &Value) -> Self {
        match value.as_i64() {
            Some(-1) => Self::HandedOver { why: format!("{at} is -1") },
            Some(count) => match u32::try_from(count) {
                Ok(count) => Self::Wanted { at, count },
                Err(_) => Self::Unclear { why: format!("{at} is {count}") },
            },
            None => Self::Unclear { why: format!("{at} is no number") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(component: Value, group: &str) -> Replicas {
        let object = json!({"apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
            "metadata": {"name": "ha"}, "spec": {"components": {"queryNode": component}}});
        let milvus: DynamicObject = serde_json::from_value(object).expect("an object");
        let labels = Labels::from([(DEPLOYMENT_GROUP.to_owned(), group.to_owned())]);
        Managed::new(&milvus, Role::QueryNode).replicas(&labels)
    }

    #[test]
    fn the_number_stands_in_the_component_or_in_its_group() {
        let count = |said: Replicas| match said {
            Replicas::Wanted { at, count } => (at.to_string(), count),
            other => panic!("{other:?}"),
        };
        let plain = "spec.components.queryNode.replicas".to_owned();
        assert_eq!(count(said(json!({"replicas": 3}), "")), (plain.clone(), 3));
        assert_eq!(count(said(json!({}), "")), (plain.clone(), 1));
        assert_eq!(count(said(json!({"replicas": 2, "groups": []}), "")), (plain, 2));
        let groups = json!({"replicas": 9, "groups": [{"name": "a", "replicas": 1},
            {"name": "b", "replicas": 4}]});
        let group = "spec.components.queryNode.groups[b].replicas".to_owned();
        assert_eq!(count(said(groups.clone(), "b")), (group, 4));
        assert!(matches!(said(groups, "c"), Replicas::Unclear { .. }));
    }

    #[test]
    fn what_is_left_to_an_hpa_is_no_number() {
        for component in [
            json!({"replicas": -1}),
            json!({"replicas": 2, "hpa": {"maxReplicas": 5}}),
            json!({"groups": [{"name": "g", "replicas": -1}]}),
        ] {
            let said = said(component, "g");
            assert!(matches!(said, Replicas::HandedOver { .. }), "{said:?}");
        }
        for replicas in [json!(-2), json!("3"), json!(2.5)] {
            let said = said(json!({"replicas": replicas}), "");
            assert!(matches!(said, Replicas::Unclear { .. }), "{said:?}");
        }
    }

    #[test]
    fn a_patch_changes_one_number_of_one_version() {
        let plain = ReplicasField { component: "proxy", group: None };
        let (kind, body) = plain.patch("7", 3);
        assert_eq!(kind, PatchType::Merge);
        let components = json!({"proxy": {"replicas": 3}});
        let expected =
            json!({"metadata": {"resourceVersion": "7"}, "spec": {"components": components}});
        assert_eq!(body, expected);
        let group = Some((1, "b".to_owned()));
        let (kind, body) = ReplicasField { component: "queryNode", group }.patch("7", 3);
        assert_eq!(kind, PatchType::Json);
        assert_eq!(
            body,
            json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
                {"op": "test", "path": "/spec/components/queryNode/groups/1/name", "value": "b"},
                {"op": "replace", "path": "/spec/components/queryNode/groups/1/replicas", "value": 3},
            ])
        );
    }
}

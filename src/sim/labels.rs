//! Labels, names and owners in the three layouts.

use serde_json::{Map, Value, json};

use super::kubernetes::json::map;
use super::settings::{Layout, SimSettings};
use crate::model::Role;

/// The component that an object belongs to, by its labels in any layout.
pub(super) fn component_of(object: &Value) -> Option<&str> {
    let labels = map(object, "/metadata/labels")?;
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    label("component")
        .or_else(|| label("app.kubernetes.io/component"))
        .or_else(|| label("app").and_then(|app| app.strip_prefix("milvus-")))
}

/// The name of a component's workload.
pub(super) fn workload_name(settings: &SimSettings, role: Role) -> String {
    let instance = &settings.instance;
    match settings.layout {
        Layout::Helm if instance.contains("milvus") => format!("{instance}-{role}"),
        Layout::Helm | Layout::Operator => format!("{instance}-milvus-{role}"),
        Layout::Reference => format!("milvus-{role}"),
    }
}

/// The labels by which a workload selects its pods.
pub(super) fn selector_labels(settings: &SimSettings, role: Role) -> Map<String, Value> {
    let mut labels = Map::new();
    let mut put = |key: &str, value: &str| labels.insert(key.to_owned(), json!(value));
    match settings.layout {
        Layout::Helm => {
            put("app.kubernetes.io/instance", &settings.instance);
            put("app.kubernetes.io/name", "milvus");
            put("component", role.as_str());
        }
        Layout::Operator => {
            put("app.kubernetes.io/instance", &settings.instance);
            put("app.kubernetes.io/name", "milvus");
            put("app.kubernetes.io/component", role.as_str());
        }
        Layout::Reference => {
            put("app", &format!("milvus-{role}"));
        }
    }
    labels
}

/// The labels of the workload itself.
pub(super) fn workload_labels(settings: &SimSettings, role: Role) -> Map<String, Value> {
    let mut labels = selector_labels(settings, role);
    let managed_by = match settings.layout {
        Layout::Helm => "Helm",
        Layout::Operator => "milvus-operator",
        Layout::Reference => return labels,
    };
    labels.insert("app.kubernetes.io/managed-by".to_owned(), json!(managed_by));
    if settings.layout == Layout::Helm {
        labels.insert("helm.sh/chart".to_owned(), json!("milvus-4.1.0"));
        labels.insert("app.kubernetes.io/version".to_owned(), json!(settings.milvus_version));
    }
    labels
}

/// The labels of the pods.
pub(super) fn pod_labels(settings: &SimSettings, role: Role) -> Map<String, Value> {
    let mut labels = selector_labels(settings, role);
    if settings.layout == Layout::Operator {
        labels.insert("app.kubernetes.io/managed-by".to_owned(), json!("milvus-operator"));
        if matches!(role, Role::Proxy | Role::Standalone) {
            labels.insert("milvus.io/service".to_owned(), json!("true"));
        }
    }
    labels
}

/// The field of the Milvus resource that stands for a component.
pub(super) fn operator_field(role: Role) -> &'static str {
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

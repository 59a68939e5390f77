//! Which GitOps tool looks after an object, by its labels, annotations and managed fields. Pure;
//! owns the names that Argo CD and Flux use.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value};

use crate::model::{GitOps, GitOpsTool};

/// Labels and annotations that the tools put on what they look after.
const MARKS: [(&str, GitOpsTool); 4] = [
    ("argocd.argoproj.io/tracking-id", GitOpsTool::ArgoCd),
    ("argocd.argoproj.io/instance", GitOpsTool::ArgoCd),
    ("kustomize.toolkit.fluxcd.io/name", GitOpsTool::Flux),
    ("helm.toolkit.fluxcd.io/name", GitOpsTool::Flux),
];
/// As whom the tools write.
const MANAGERS: [(&str, GitOpsTool); 3] = [
    ("argocd-controller", GitOpsTool::ArgoCd),
    ("kustomize-controller", GitOpsTool::Flux),
    ("helm-controller", GitOpsTool::Flux),
];
/// The number of replicas, as managed fields spell it.
const REPLICAS: &str = "f:replicas";

/// Where the number of replicas of a workload stands in managed fields.
pub const OF_WORKLOAD: &[&str] = &["f:spec", REPLICAS];

/// The tool that looks after the object; `replicas` leads to the number of replicas in the managed
/// fields, e.g. [`OF_WORKLOAD`].
pub fn of(meta: &ObjectMeta, replicas: &[impl AsRef<str>]) -> Option<GitOps> {
    let owner = meta.managed_fields.iter().flatten().find_map(|entry| {
        let tool = manager(entry)?;
        let fields = &entry.fields_v1.as_ref()?.0;
        replicas.iter().try_fold(fields, |at, step| at.get(step.as_ref()))?;
        Some((tool, entry.manager.as_deref().unwrap_or_default()))
    });
    if let Some((tool, name)) = owner {
        let evidence = format!("managed fields of {name}");
        return Some(GitOps { tool, evidence, sets_replicas: true });
    }
    let has = |all: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        all.as_ref().is_some_and(|all| all.contains_key(key))
    };
    MARKS.iter().find_map(|(key, tool)| {
        let place = if has(&meta.labels, key) {
            "label"
        } else if has(&meta.annotations, key) {
            "annotation"
        } else {
            return None;
        };
        let evidence = format!("{place} {key}");
        Some(GitOps { tool: *tool, evidence, sets_replicas: false })
    })
}

/// Of the managed fields only what such a tool says of a number of replicas.
pub fn keep(fields: Option<Vec<ManagedFieldsEntry>>) -> Option<Vec<ManagedFieldsEntry>> {
    let kept = fields.into_iter().flatten().filter(|entry| manager(entry).is_some());
    let kept = kept.filter_map(|entry| {
        let fields = only_replicas(&entry.fields_v1.as_ref()?.0)?;
        let (manager, fields_v1) = (entry.manager, Some(FieldsV1(fields)));
        Some(ManagedFieldsEntry { manager, fields_v1, ..ManagedFieldsEntry::default() })
    });
    Some(kept.collect::<Vec<_>>()).filter(|kept| !kept.is_empty())
}

fn manager(entry: &ManagedFieldsEntry) -> Option<GitOpsTool> {
    let name = entry.manager.as_deref()?;
    MANAGERS.iter().find(|(known, _)| *known == name).map(|(_, tool)| *tool)
}

/// The branches that end in a number of replicas. As deep as JSON may be nested at all.
fn only_replicas(fields: &Value) -> Option<Value> {
    let kept: Map<String, Value> = fields
        .as_object()?
        .iter()
        .filter_map(|(key, value)| {
            let kept = if key == REPLICAS { Some(value.clone()) } else { only_replicas(value) };
            kept.map(|kept| (key.clone(), kept))
        })
        .collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).expect("metadata")
    }

    #[test]
    fn every_mark_is_recognised_as_a_label_or_an_annotation() {
        for (key, tool) in MARKS {
            for place in ["labels", "annotations"] {
                let found = of(&meta(json!({place: {key: "x"}})), OF_WORKLOAD);
                let found = found.expect("it is recognised");
                assert_eq!((found.tool, found.sets_replicas), (tool, false));
                assert!(found.evidence.ends_with(key), "{}", found.evidence);
            }
        }
        let helm = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}});
        assert_eq!(of(&meta(helm), OF_WORKLOAD), None);
    }

    #[test]
    fn who_sets_the_replicas_is_known_even_after_the_rest_is_dropped() {
        let fields = json!({"f:metadata": {"f:labels": {}}, "f:spec": {
            "f:replicas": {}, "f:template": {"f:spec": {}},
            "f:components": {"f:queryNode": {"f:replicas": {}, "f:paused": {}}, "f:image": {}}}});
        let entry = |manager: &str, fields: &Value| {
            json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1",
            "fieldsV1": fields})
        };
        let mut object = meta(json!({"managedFields": [
            entry("kube-controller-manager", &fields),
            entry("argocd-controller", &json!({"f:metadata": {}})),
            entry("kustomize-controller", &fields)]}));
        object.managed_fields = keep(object.managed_fields);
        let kept = object.managed_fields.as_deref().expect("one is kept");
        let (branch, component) = (json!({}), json!({"f:replicas": {}}));
        let expected = json!({"f:spec": {"f:replicas": branch,
            "f:components": {"f:queryNode": component}}});
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].fields_v1.as_ref().expect("fields").0, expected);
        let component = ["f:spec", "f:components", "f:queryNode", "f:replicas"];
        for path in [OF_WORKLOAD, &component] {
            let found = of(&object, path).expect("it is known");
            assert_eq!((found.tool, found.sets_replicas), (GitOpsTool::Flux, true));
        }
        assert_eq!(of(&object, &["f:spec", "f:components", "f:proxy", "f:replicas"]), None);
        assert_eq!(keep(None), None);
    }
}

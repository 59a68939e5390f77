//! The revisions of a Deployment's pod template, told apart by their content: a restart makes a new
//! number, but not another revision. Pure.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::model::{Revision, Timestamp, WorkloadKind};

use super::changes::RESTARTED_AT;
use super::life::timestamp;
use super::objects::Objects;
use super::workloads::controller;

/// The label with the template's hash on a Deployment's pods and `ReplicaSets`.
pub const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same on the pods of a `StatefulSet` or `DaemonSet`.
pub const REVISION_HASH: &str = "controller-revision-hash";
/// On objects that are kept without their template: what it contained. Never sent.
pub const CONTENT: &str = "falconer.io/template-content";
/// On a `ReplicaSet`: the number that `kubectl rollout history` shows.
const NUMBER: &str = "deployment.kubernetes.io/revision";
/// Annotations of a template that falconer writes or may write.
const OWN_PREFIX: &str = "falconer.io/";

/// A mark of what a pod template contains, without what a restart or a controller adds to it. Good
/// for comparisons within this process only.
pub fn content(mut template: Value) -> u64 {
    strip(&mut template);
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    hasher.finish()
}

fn strip(template: &mut Value) {
    let fields = |value: &mut Value, path: &str, keep: &dyn Fn(&str) -> bool| {
        if let Some(Value::Object(all)) = value.pointer_mut(path) {
            all.retain(|key, value| keep(key) && !value.is_null());
        }
    };
    fields(template, "/metadata/labels", &|key| key != TEMPLATE_HASH);
    fields(template, "/metadata/annotations", &|key| {
        key != RESTARTED_AT && !key.starts_with(OWN_PREFIX)
    });
    // What is left empty is as good as absent.
    if let Some(Value::Object(meta)) = template.get_mut("metadata") {
        meta.retain(|_, value| {
            !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty())
        });
    }
}

/// One numbered revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its number.
    pub number: u64,
    /// What its template contains.
    pub content: u64,
    /// The hash that its pods carry.
    pub template: Arc<str>,
    /// When it was made first.
    pub created_at: Timestamp,
}

impl Numbered {
    /// What the metadata of a `ReplicaSet` says of it; `content` is its template's.
    pub fn of(meta: &ObjectMeta, content: u64) -> Option<Self> {
        Some(Self {
            number: meta.annotations.as_ref()?.get(NUMBER)?.parse().ok()?,
            content,
            template: (**meta.labels.as_ref()?.get(TEMPLATE_HASH)?).into(),
            created_at: timestamp(meta.creation_timestamp.as_ref()?)?,
        })
    }
}

/// The newest revision among `all`, by content.
pub fn newest(mut all: Vec<Numbered>) -> Option<Revision> {
    all.sort_by_key(|one| std::cmp::Reverse(one.number));
    let newest = all.first()?;
    let is_same = |one: &&Numbered| one.content == newest.content;
    // Earlier times of the same content, with another one in between, were other rollouts.
    let since = all.iter().take_while(is_same).map(|one| one.created_at).min()?;
    let previous = all.iter().find(|one| !is_same(one)).map(|one| one.number);
    let mut templates: Vec<Arc<str>> =
        all.iter().filter(is_same).map(|one| Arc::clone(&one.template)).collect();
    templates.sort();
    Some(Revision { number: newest.number, templates, since, previous })
}

/// The `ReplicaSets` of a namespace by the identifier of their owner.
pub struct Revisions<'a> {
    by_owner: BTreeMap<&'a str, Vec<&'a ReplicaSet>>,
}

impl<'a> Revisions<'a> {
    /// Those among `objects`.
    pub fn of(objects: &'a Objects) -> Self {
        let mut by_owner: BTreeMap<&str, Vec<&ReplicaSet>> = BTreeMap::new();
        for set in objects.replica_sets.values() {
            if let Some(owner) = controller(&set.metadata) {
                by_owner.entry(&owner.uid).or_default().push(set);
            }
        }
        Self { by_owner }
    }

    /// The newest revision of the workload `meta`, once its controller has begun with it.
    pub fn newest(&self, kind: WorkloadKind, meta: &ObjectMeta) -> Option<Revision> {
        match kind {
            WorkloadKind::Deployment => {}
            // Their revisions are other objects, which are not watched.
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::Process => {
                return None;
            }
        }
        let sets = self.by_owner.get(meta.uid.as_deref()?)?;
        let all: Vec<Numbered> = sets
            .iter()
            .filter_map(|set| Numbered::of(&set.metadata, marked(&set.metadata)?))
            .collect();
        let wanted = marked(meta)?;
        let begun = all.iter().max_by_key(|one| one.number)?.content == wanted;
        if begun { newest(all) } else { None }
    }
}

fn marked(meta: &ObjectMeta) -> Option<u64> {
    meta.annotations.as_ref()?.get(CONTENT)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    use super::super::objects::{trim_deployment, trim_replica_set};
    use super::*;

    fn numbered(number: u64, content: u64) -> Numbered {
        Numbered {
            number,
            content,
            template: format!("h{number}").into(),
            created_at: Timestamp::from_millis(number * 100),
        }
    }

    fn newest_of(contents: &[(u64, u64)]) -> Option<Revision> {
        newest(contents.iter().map(|(number, content)| numbered(*number, *content)).collect())
    }

    fn revision(number: u64, templates: &[&str], since: u64, previous: Option<u64>) -> Revision {
        Revision {
            number,
            templates: templates.iter().map(|hash| (*hash).into()).collect(),
            since: Timestamp::from_millis(since),
            previous,
        }
    }

    #[test]
    fn restarts_are_the_same_revision_and_it_began_with_the_first_of_them() {
        assert_eq!(newest_of(&[]), None);
        assert_eq!(newest_of(&[(1, 7)]), Some(revision(1, &["h1"], 100, None)));
        assert_eq!(
            newest_of(&[(4, 7), (2, 8), (5, 7), (1, 9)]),
            Some(revision(5, &["h4", "h5"], 400, Some(2)))
        );
    }

    #[test]
    fn a_content_that_came_back_is_new_again_but_its_old_pods_count_as_its_own() {
        assert_eq!(
            newest_of(&[(1, 7), (2, 8), (3, 7)]),
            Some(revision(3, &["h1", "h3"], 300, Some(2)))
        );
    }

    #[test]
    fn the_content_is_what_a_person_changes() {
        let template = |labels: Value, annotations: Value, image: &str| {
            content(json!({
                "metadata": {"creationTimestamp": null, "labels": labels,
                    "annotations": annotations},
                "spec": {"containers": [{"name": "c", "image": image}]},
            }))
        };
        let plain = template(json!({"app": "a"}), json!({}), "m:1");
        let hashed = json!({"app": "a", TEMPLATE_HASH: "5d9f"});
        let restarted = json!({RESTARTED_AT: "now", "falconer.io/x": "y"});
        assert_eq!(template(hashed, restarted, "m:1"), plain);
        assert_eq!(template(json!({"app": "a"}), Value::Null, "m:1"), plain);
        assert_ne!(template(json!({"app": "a"}), json!({}), "m:2"), plain);
        assert_ne!(template(json!({"app": "b"}), json!({}), "m:1"), plain);
        assert_ne!(template(json!({"app": "a"}), json!({"checksum/config": "1"}), "m:1"), plain);
    }

    #[test]
    fn the_watched_objects_tell_it_without_their_templates() {
        let template = |hash: Option<&str>, image: &str| {
            let mut labels = json!({"app": "a"});
            if let Some(hash) = hash {
                labels[TEMPLATE_HASH] = json!(hash);
            }
            json!({"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": image}]}})
        };
        let deployment = |image: &str| {
            let mut made: Deployment = serde_json::from_value(json!({
                "metadata": {"name": "d", "uid": "u"},
                "spec": {"selector": {}, "template": template(None, image)},
            }))
            .expect("a deployment");
            trim_deployment(&mut made);
            made.metadata
        };
        let mut objects = Objects::default();
        for (number, image, uid) in [(1, "m:1", "u"), (2, "m:2", "u"), (3, "m:2", "other")] {
            let hash = format!("h{number}");
            let mut set: ReplicaSet = serde_json::from_value(json!({
                "metadata": {"name": hash, "labels": {TEMPLATE_HASH: hash},
                    "annotations": {NUMBER: number.to_string()},
                    "creationTimestamp": format!("2026-01-0{number}T00:00:00Z"),
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment",
                        "name": "d", "uid": uid, "controller": true}]},
                "spec": {"selector": {}, "template": template(Some(&hash), image)},
            }))
            .expect("a replica set");
            trim_replica_set(&mut set);
            assert!(set.spec.template.is_none());
            objects.replica_sets.insert(hash, set);
        }
        let revisions = Revisions::of(&objects);
        let seen = revisions.newest(WorkloadKind::Deployment, &deployment("m:2")).expect("one");
        assert_eq!((seen.number, seen.previous), (2, Some(1)));
        assert_eq!(seen.since.to_string(), "2026-01-02T00:00:00.000Z");
        // The controller has not seen the newest template yet.
        assert_eq!(revisions.newest(WorkloadKind::Deployment, &deployment("m:3")), None);
        assert_eq!(revisions.newest(WorkloadKind::StatefulSet, &deployment("m:2")), None);
    }
}

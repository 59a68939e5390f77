//! ControllerRevisions: the templates that a StatefulSet or DaemonSet has had.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::ownership::{owned, reference, resource_of};
use super::super::template::REVISION_HASH;
use crate::sim::kubernetes::json::{map, name, namespace, number, set};
use crate::sim::kubernetes::resource::REVISIONS;
use crate::sim::kubernetes::store::{Key, Store};

/// How many old revisions are kept where nothing is said.
const KEPT_REVISIONS: i64 = 10;

/// Makes the revision of the present template the newest one, and forgets the oldest.
pub(super) fn keep(store: &Store, storage: &'static str, owner: &Value, hash: &str) {
    let mut revisions = owned(store, REVISIONS, owner);
    revisions.sort_by_key(|revision| number(revision, "/revision").unwrap_or(0));
    let highest = revisions.last().and_then(|last| number(last, "/revision")).unwrap_or(0);
    let own_name = format!("{}-{hash}", name(owner));
    match revisions.iter().find(|revision| name(revision) == own_name) {
        Some(own) if number(own, "/revision") == Some(highest) => {}
        // A return to an earlier template makes its revision the newest again.
        Some(own) => {
            store.update(&Key::of(REVISIONS, own), |own| set(own, &["revision"], highest + 1));
        }
        None => create(store, storage, owner, (&own_name, hash), highest + 1),
    }
    let kept = number(owner, "/spec/revisionHistoryLimit").unwrap_or(KEPT_REVISIONS);
    forget_oldest(store, &revisions, &own_name, usize::try_from(kept).unwrap_or(0));
}

fn create(
    store: &Store,
    storage: &'static str,
    owner: &Value,
    (own_name, hash): (&str, &str),
    number: i64,
) {
    let mut labels = map(owner, "/spec/template/metadata/labels").cloned().unwrap_or_default();
    labels.insert(REVISION_HASH.to_owned(), json!(hash));
    let mut template = owner.pointer("/spec/template").cloned().unwrap_or_default();
    set(&mut template, &["$patch"], "replace");
    let object = json!({
        "kind": "ControllerRevision", "apiVersion": "apps/v1",
        "metadata": {
            "labels": labels,
            "ownerReferences": reference(resource_of(storage), owner),
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    });
    // Whoever was quicker has made the same one.
    let _ = store.create(Key::new(REVISIONS, namespace(owner), own_name), object);
}

fn forget_oldest(store: &Store, revisions: &[Arc<Value>], current: &str, kept: usize) {
    let old: Vec<&Arc<Value>> =
        revisions.iter().filter(|revision| name(revision) != current).collect();
    for revision in old.iter().take(old.len().saturating_sub(kept)) {
        store.remove(&Key::of(REVISIONS, revision));
    }
}

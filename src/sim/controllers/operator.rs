//! milvus-operator, as far as it gets into a supervisor's way: it writes replicas and images of
//! its Deployments from the Milvus resource, whatever others have set, and moves components that
//! have two Deployments from one to the other.

mod traits;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::ownership::owned;
use super::template::{image_of, set_image};
use crate::model::Role;
use crate::sim::kubernetes::json::{
    is_terminating, list, map, number, set, set_condition, text, unset,
};
use crate::sim::kubernetes::resource::{DEPLOYMENTS, MILVUSES, PODS, STATEFUL_SETS};
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::labels::{component_of, operator_field};

pub(in crate::sim) use traits::{clear_traits, set_trait};

/// The label with the deployment group, where a component has several.
const DEPLOYMENT_GROUP: &str = "milvus.io/deployment-group";

/// The label with the group of a Deployment and its pods, where a component has two.
pub(in crate::sim) fn group_label(component: &str) -> String {
    format!("milvus.io/{component}-group-id")
}

/// The annotation of the Milvus resource with the group that has the pods.
pub(in crate::sim) fn current_group_key(component: &str) -> String {
    format!("milvus.io/{component}-current-group-id")
}

/// The label of the Milvus resource while a component moves from one group to the other.
fn rolling_label(component: &str) -> String {
    format!("milvus.io/{component}-rolling-id")
}

pub(super) fn reconcile(store: &Store) {
    for milvus in store.list(MILVUSES, None).1 {
        if is_true(&milvus, "/spec/components/paused") {
            continue;
        }
        // By component and deployment group.
        let mut components: BTreeMap<(Role, String), Vec<Arc<Value>>> = BTreeMap::new();
        for deployment in owned(store, DEPLOYMENTS, &milvus) {
            if let Some(role) = component_of(&deployment).and_then(Role::parse) {
                let group = label(&deployment, DEPLOYMENT_GROUP).to_owned();
                components.entry((role, group)).or_default().push(deployment);
            }
        }
        for ((role, group), deployments) in components {
            let wanted = Wanted::of(&milvus, role, &group);
            if is_true(&milvus, &format!("/spec/components/{}/paused", operator_field(role))) {
                continue;
            }
            match deployments.as_slice() {
                [one] => update_one(store, &milvus, one, &wanted),
                [first, second] => {
                    let current = annotation(&milvus, &current_group_key(role.as_str()));
                    let is_first = group_of(first, role) == current;
                    let (active, spare) = if is_first { (first, second) } else { (second, first) };
                    update_two(store, &milvus, role, (active, spare), &wanted);
                }
                _ => {}
            }
        }
        for set in owned(store, STATEFUL_SETS, &milvus) {
            if let Some(role) = component_of(&set).and_then(Role::parse) {
                scale(store, STATEFUL_SETS, &set, Wanted::of(&milvus, role, "").replicas);
            }
        }
    }
}

fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer) == Some(&Value::Bool(true))
}

fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    let all = map(object, "/metadata/annotations");
    all.and_then(|all| all.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    let all = map(object, "/metadata/labels");
    all.and_then(|all| all.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn group_of(deployment: &Value, role: Role) -> &str {
    label(deployment, &group_label(role.as_str()))
}

/// What the Milvus resource says about a component.
#[derive(Debug)]
struct Wanted {
    /// `None` where somebody else sets them.
    replicas: Option<i64>,
    /// `None` where nothing is said.
    image: Option<String>,
}

impl Wanted {
    fn of(milvus: &Value, role: Role, group: &str) -> Self {
        let component = format!("/spec/components/{}", operator_field(role));
        let manual = is_true(milvus, "/spec/components/enableManualMode");
        let own = text(milvus, &format!("{component}/image"));
        let common = text(milvus, "/spec/components/image");
        let image = if own.is_empty() { common } else { own };
        let groups = list(milvus, &format!("{component}/groups")).iter();
        let holder = match groups.into_iter().find(|one| text(one, "/name") == group) {
            Some(one) => number(one, "/replicas"),
            None => number(milvus, &format!("{component}/replicas")),
        };
        Self {
            // Minus one hands the replicas over to somebody else.
            replicas: holder.filter(|replicas| *replicas >= 0 && !manual),
            image: Some(image.to_owned()).filter(|image| !image.is_empty()),
        }
    }
}

fn scale(store: &Store, storage: &'static str, workload: &Value, replicas: Option<i64>) {
    if let Some(replicas) = replicas {
        store.update(&Key::of(storage, workload), |object| {
            set(object, &["spec", "replicas"], replicas);
        });
    }
}

fn update_one(store: &Store, milvus: &Value, deployment: &Value, wanted: &Wanted) {
    scale(store, DEPLOYMENTS, deployment, wanted.replicas);
    let Some(image) = wanted.image.as_deref().filter(|image| *image != image_of(deployment)) else {
        return;
    };
    // While a pod is on its way out the template is left alone.
    let component = component_of(deployment);
    let (_, pods) = store.list(PODS, Some(text(milvus, "/metadata/namespace")));
    let leaving = pods.iter().any(|pod| component_of(pod) == component && is_terminating(pod));
    if !leaving {
        store.update(&Key::of(DEPLOYMENTS, deployment), |object| set_image(object, image));
    }
}

/// Moves a component with a new image from one Deployment to the other: the pods of the new one
/// first, then the end of the old ones.
fn update_two(
    store: &Store,
    milvus: &Value,
    role: Role,
    (active, spare): (&Value, &Value),
    wanted: &Wanted,
) {
    let label = rolling_label(role.as_str());
    let rolling = map(milvus, "/metadata/labels").is_some_and(|labels| labels.contains_key(&label));
    let replicas = |object: &Value| number(object, "/spec/replicas").unwrap_or(0);
    let differs = wanted.image.as_deref().is_some_and(|image| image != image_of(active));
    let key = Key::of(MILVUSES, milvus);
    if differs && !rolling {
        let image = wanted.image.as_deref().unwrap_or_default();
        let id = format!("{:08x}", fastrand::u32(..));
        store.update(&key, |milvus| {
            set(milvus, &["metadata", "labels", &label], id);
            set_updated(milvus, false, &store.now());
        });
        store.update(&Key::of(DEPLOYMENTS, spare), |spare| {
            let group = text(
                spare,
                &format!(
                    "/spec/template/metadata/labels/{}",
                    group_label(role.as_str()).replace('/', "~1")
                ),
            )
            .to_owned();
            let template = active.pointer("/spec/template").cloned().unwrap_or_default();
            set(spare, &["spec", "template"], template);
            let path = ["spec", "template", "metadata", "labels", &group_label(role.as_str())];
            set(spare, &path, group);
            set_image(spare, image);
            set(spare, &["spec", "replicas"], replicas(active));
        });
    } else if rolling && differs {
        let ready = number(spare, "/status/readyReplicas").unwrap_or(0);
        if replicas(spare) > 0 && ready >= replicas(spare) {
            let group = group_of(spare, role).to_owned();
            store.update(&key, |milvus| {
                let name = current_group_key(role.as_str());
                set(milvus, &["metadata", "annotations", &name], group);
            });
        }
    } else {
        scale(store, DEPLOYMENTS, active, wanted.replicas);
        scale(store, DEPLOYMENTS, spare, Some(0));
        let gone = number(spare, "/status/replicas").unwrap_or(0) == 0;
        if rolling && gone && replicas(spare) == 0 {
            store.update(&key, |milvus| {
                unset(milvus, &["metadata", "labels", &label]);
                set_updated(milvus, true, &store.now());
            });
        }
    }
}

/// The condition `MilvusUpdated`.
fn set_updated(milvus: &mut Value, updated: bool, now: &str) {
    let (status, reason) = if updated {
        ("True", "MilvusComponentsUpdated")
    } else {
        ("False", "MilvusComponentsUpdating")
    };
    let condition = json!({"type": "MilvusUpdated", "status": status, "reason": reason,
        "lastTransitionTime": now});
    set_condition(milvus, condition);
}

//! milvus-operator, as far as it gets into a supervisor's way: it writes the replicas of its
//! Deployments from the Milvus resource, whatever others have set.

use serde_json::Value;

use super::ownership::owned;
use crate::model::Role;
use crate::sim::kubernetes::json::{number, set};
use crate::sim::kubernetes::resource::{DEPLOYMENTS, MILVUSES};
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::labels::{component_of, operator_field};

pub(super) fn reconcile(store: &Store) {
    for milvus in store.list(MILVUSES, None).1 {
        for deployment in owned(store, DEPLOYMENTS, &milvus) {
            let Some(role) = component_of(&deployment).and_then(Role::parse) else { continue };
            if let Some(replicas) = wanted_replicas(&milvus, role) {
                store.update(&Key::of(DEPLOYMENTS, &deployment), |object| {
                    set(object, &["spec", "replicas"], replicas);
                });
            }
        }
    }
}

/// Minus one hands the replicas over to somebody else.
fn wanted_replicas(milvus: &Value, role: Role) -> Option<i64> {
    let pointer = format!("/spec/components/{}/replicas", operator_field(role));
    number(milvus, &pointer).filter(|replicas| *replicas >= 0)
}

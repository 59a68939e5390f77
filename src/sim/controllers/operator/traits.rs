//! What people or the operator have set on the Milvus resource, for those who must respect it.

use serde_json::Value;

use super::{rolling_label, set_updated};
use crate::model::Role;
use crate::sim::faults::OperatorTrait;
use crate::sim::kubernetes::json::{map, set, text, unset};
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::labels::operator_field;

/// The value of a rolling label that nobody rolls for.
const PRETENDED: &str = "pretended";

/// Sets a trait on the Milvus resource under `key`.
pub(in crate::sim) fn set_trait(store: &Store, key: &Key, what: &OperatorTrait) {
    let now = store.now();
    store.update(key, |milvus| match what {
        OperatorTrait::Paused => set(milvus, &["spec", "components", "paused"], true),
        OperatorTrait::ManualMode => {
            set(milvus, &["spec", "components", "enableManualMode"], true);
        }
        OperatorTrait::ComponentPaused(component) => {
            set(milvus, &["spec", "components", field(component), "paused"], true);
        }
        OperatorTrait::NotUpdated => set_updated(milvus, false, &now),
        OperatorTrait::RollingOut(component) => {
            set(milvus, &["metadata", "labels", &rolling_label(component)], PRETENDED);
        }
    });
}

fn field(component: &str) -> &str {
    match Role::parse(component) {
        Some(role) => operator_field(role),
        None => component,
    }
}

/// Takes all traits back that [`set_trait`] can set.
pub(in crate::sim) fn clear_traits<'a>(
    store: &Store,
    key: &Key,
    components: impl Iterator<Item = &'a str>,
) {
    let now = store.now();
    store.update(key, |milvus| {
        unset(milvus, &["spec", "components", "paused"]);
        unset(milvus, &["spec", "components", "enableManualMode"]);
        for component in components {
            unset(milvus, &["spec", "components", field(component), "paused"]);
            let label = rolling_label(component);
            let value = map(milvus, "/metadata/labels").and_then(|labels| labels.get(&label));
            if value.and_then(Value::as_str) == Some(PRETENDED) {
                unset(milvus, &["metadata", "labels", &label]);
            }
        }
        let labels = map(milvus, "/metadata/labels").into_iter().flatten();
        let mut labels = labels.map(|(key, _)| key);
        let rolling = labels.any(|label| label.ends_with("-rolling-id"));
        let pretended = text(milvus, "/metadata/name") == key.name && !rolling;
        if pretended {
            set_updated(milvus, true, &now);
        }
    });
}

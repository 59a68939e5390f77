//! Short ways into JSON objects, in the shape that Kubernetes gives them.

use serde_json::{Map, Value};

/// The text at `pointer`; empty when there is none.
pub(in crate::sim) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at `pointer`.
pub(in crate::sim) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The list at `pointer`; empty when there is none.
pub(in crate::sim) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map at `pointer`.
pub(in crate::sim) fn map<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    object.pointer(pointer).and_then(Value::as_object)
}

/// `metadata.name`.
pub(in crate::sim) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`.
pub(in crate::sim) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `metadata.uid`.
pub(in crate::sim) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Sets the value at the end of `path`, making the maps in between.
pub(in crate::sim) fn set(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    let mut place = object;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return };
        place = fields.entry((*key).to_owned()).or_insert(Value::Null);
    }
    *place = value.into();
}

/// Removes the field at the end of `path`, if it is there.
pub(in crate::sim) fn unset(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut place = object;
    for key in parents {
        place = place.get_mut(*key)?;
    }
    place.as_object_mut()?.remove(*last)
}

/// Whether the object is on its way out.
pub(in crate::sim) fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

/// Whether `object` has an owner reference to `uid`.
pub(in crate::sim) fn is_owned_by(object: &Value, owner: &str) -> bool {
    list(object, "/metadata/ownerReferences").iter().any(|entry| text(entry, "/uid") == owner)
}

/// The status of the condition of this type: `True`, `False`, `Unknown` or nothing.
pub(in crate::sim) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    list(object, "/status/conditions")
        .iter()
        .find(|entry| text(entry, "/type") == kind)
        .map_or("", |entry| text(entry, "/status"))
}

/// Puts `condition` in the place of the one of its type. Its `lastTransitionTime` stays that of
/// the old one while the status is the same.
pub(in crate::sim) fn set_condition(object: &mut Value, mut condition: Value) {
    let mut conditions = list(object, "/status/conditions").to_vec();
    let kind = text(&condition, "/type").to_owned();
    match conditions.iter_mut().find(|entry| text(entry, "/type") == kind) {
        Some(existing) => {
            if existing.get("status") == condition.get("status") {
                for time in ["lastTransitionTime", "lastUpdateTime"] {
                    if let Some(since) = existing.get(time).cloned() {
                        set(&mut condition, &[time], since);
                    }
                }
            }
            *existing = condition;
        }
        None => conditions.push(condition),
    }
    set(object, &["status", "conditions"], conditions);
}

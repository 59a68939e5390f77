//! The three ways to patch: JSON merge patch, strategic merge patch, JSON patch.

use serde_json::{Map, Value};

use super::json;

/// A patch that cannot be applied, in words.
pub(in crate::sim) type PatchError = String;

/// Applies `patch` by the rules of its content type.
pub(in crate::sim) fn apply(
    object: &mut Value,
    patch: &Value,
    content_type: &str,
) -> Result<(), PatchError> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => json_patch(object, patch),
        "application/strategic-merge-patch+json" | "application/apply-patch+yaml" => {
            strategic(object, patch, "");
            Ok(())
        }
        "application/merge-patch+json" => {
            merge(object, patch);
            Ok(())
        }
        other => Err(format!("unsupported patch type: {other}")),
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// The field by which elements of the list under `field` are told apart.
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => Some("name"),
        "ports" => Some("containerPort"),
        "volumeMounts" => Some("mountPath"),
        "conditions" => Some("type"),
        "ownerReferences" => Some("uid"),
        "hostAliases" => Some("ip"),
        _ => None,
    }
}

fn strategic(target: &mut Value, patch: &Value, field: &str) {
    match patch {
        Value::Object(changes) => {
            if changes.get("$patch").and_then(Value::as_str) == Some("replace") {
                let mut replacement = changes.clone();
                replacement.remove("$patch");
                *target = Value::Object(replacement);
                return;
            }
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Value::Object(fields) = target else { return };
            for (key, change) in changes.iter().filter(|(key, _)| !key.starts_with('$')) {
                if change.is_null() {
                    fields.remove(key);
                } else {
                    strategic(fields.entry(key.clone()).or_insert(Value::Null), change, key);
                }
            }
        }
        Value::Array(elements) => match merge_key(field) {
            Some(key) => strategic_list(target, elements, key),
            None => *target = patch.clone(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            *target = patch.clone();
        }
    }
}

fn strategic_list(target: &mut Value, changes: &[Value], key: &str) {
    let mut elements = target.as_array().cloned().unwrap_or_default();
    for change in changes {
        let same =
            |element: &Value| element.get(key).is_some() && element.get(key) == change.get(key);
        let directive = json::text(change, "/$patch");
        if directive == "delete" {
            elements.retain(|element| !same(element));
        } else if directive == "replace" {
            elements.clear();
        } else if let Some(existing) = elements.iter_mut().find(|element| same(element)) {
            strategic(existing, change, "");
        } else {
            elements.push(change.clone());
        }
    }
    *target = Value::Array(elements);
}

/// RFC 6902.
fn json_patch(object: &mut Value, changes: &Value) -> Result<(), PatchError> {
    let operations = changes.as_array().ok_or("a JSON patch is a list of operations")?;
    for operation in operations {
        let path = json::text(operation, "/path");
        let value = || operation.get("value").cloned().ok_or("an operation lacks its value");
        match json::text(operation, "/op") {
            "add" => add(object, path, value()?)?,
            "remove" => drop(remove(object, path)?),
            "replace" => {
                let place = object.pointer_mut(path).ok_or(format!("no such path: {path}"))?;
                *place = value()?;
            }
            "test" => {
                if object.pointer(path) != Some(&value()?) {
                    return Err(format!("testing path {path} failed: it has another value"));
                }
            }
            "move" => {
                let moved = remove(object, json::text(operation, "/from"))?;
                add(object, path, moved)?;
            }
            "copy" => {
                let from = json::text(operation, "/from");
                let copied = object.pointer(from).ok_or(format!("no such path: {from}"))?.clone();
                add(object, path, copied)?;
            }
            other => return Err(format!("unknown operation {other:?}")),
        }
    }
    Ok(())
}

fn split_path(path: &str) -> Result<(&str, String), PatchError> {
    let (parent, last) = path.rsplit_once('/').ok_or(format!("not a path: {path:?}"))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    let (parent, last) = split_path(path)?;
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.insert(last, value);
            Ok(())
        }
        Some(Value::Array(elements)) => {
            let index = if last == "-" { Ok(elements.len()) } else { last.parse::<usize>() };
            let index = index.ok().filter(|index| *index <= elements.len());
            elements.insert(index.ok_or(format!("no such place: {path}"))?, value);
            Ok(())
        }
        _ => Err(format!("no such path: {parent}")),
    }
}

fn remove(object: &mut Value, path: &str) -> Result<Value, PatchError> {
    let (parent, last) = split_path(path)?;
    let missing = || format!("no such path: {path}");
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&last).ok_or_else(missing),
        Some(Value::Array(elements)) => {
            let index = last.parse::<usize>().ok().filter(|index| *index < elements.len());
            Ok(elements.remove(index.ok_or_else(missing)?))
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_removes_nulls_and_replaces_lists() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let patch = json!({"a": {"b": null, "d": 3}, "l": [9]});
        apply(&mut object, &patch, "application/merge-patch+json").expect("applies");
        assert_eq!(object, json!({"a": {"c": 2, "d": 3}, "l": [9]}));
    }

    #[test]
    fn a_strategic_patch_merges_containers_by_name() {
        let mut object = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b"}]});
        let patch = json!({"containers": [{"name": "a", "image": "y"}, {"name": "b", "$patch": "delete"}],
            "$setElementOrder/containers": []});
        apply(&mut object, &patch, "application/strategic-merge-patch+json").expect("applies");
        assert_eq!(object, json!({"containers": [{"name": "a", "image": "y"}]}));
    }

    #[test]
    fn a_json_patch_stops_at_a_test_that_fails() {
        let mut object = json!({"spec": {"replicas": 2}, "l": [1]});
        let kind = "application/json-patch+json";
        let wrong = json!([{"op": "test", "path": "/spec/replicas", "value": 3}]);
        assert!(apply(&mut object, &wrong, kind).is_err());
        let right = json!([
            {"op": "test", "path": "/spec/replicas", "value": 2},
            {"op": "replace", "path": "/spec/replicas", "value": 3},
            {"op": "add", "path": "/l/-", "value": 2},
            {"op": "remove", "path": "/l/0"}
        ]);
        apply(&mut object, &right, kind).expect("applies");
        assert_eq!(object, json!({"spec": {"replicas": 3}, "l": [2]}));
    }

    #[test]
    fn an_unknown_patch_type_is_refused() {
        assert!(apply(&mut json!({}), &json!({}), "text/plain").is_err());
    }
}

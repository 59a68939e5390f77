//! What scales, and what is scaled as a custom resource: HPAs, ScaledObjects, Milvus.

use serde_json::Value;

use super::invalid;
use crate::sim::kubernetes::json::{list, map, number, text};
use crate::sim::kubernetes::resource::Resource;
use crate::sim::kubernetes::status::Failure;

fn required(resource: &Resource, name: &str, field: &str) -> Failure {
    Failure::invalid_field(resource, name, field, "FieldValueRequired", "Required value")
}

fn needs_text(
    resource: &Resource,
    name: &str,
    object: &Value,
    fields: &[&str],
) -> Result<(), Failure> {
    let missing = fields
        .iter()
        .find(|field| text(object, &format!("/{}", field.replace('.', "/"))).is_empty());
    missing.map_or(Ok(()), |field| Err(required(resource, name, field)))
}

pub(super) fn autoscaler(resource: &Resource, name: &str, object: &Value) -> Result<(), Failure> {
    let target = ["spec.scaleTargetRef.kind", "spec.scaleTargetRef.name"];
    needs_text(resource, name, object, &target)?;
    let least = number(object, "/spec/minReplicas").unwrap_or(1);
    let most = number(object, "/spec/maxReplicas").unwrap_or(0);
    let wrong = |field: &str, value: i64, words: &str| {
        Err(invalid(resource, name, field, &value.to_string(), words))
    };
    if least < 1 {
        return wrong("spec.minReplicas", least, "must be greater than or equal to 1");
    }
    if most < 1 {
        return wrong("spec.maxReplicas", most, "must be greater than 0");
    }
    if most < least {
        return wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`");
    }
    Ok(())
}

pub(super) fn scaled_object(
    resource: &Resource,
    name: &str,
    object: &Value,
) -> Result<(), Failure> {
    needs_text(resource, name, object, &["spec.scaleTargetRef.name"])?;
    if object.pointer("/spec/triggers").and_then(Value::as_array).is_none() {
        return Err(required(resource, name, "spec.triggers"));
    }
    Ok(())
}

pub(super) fn milvus(resource: &Resource, name: &str, object: &Value) -> Result<(), Failure> {
    for (component, settings) in map(object, "/spec/components").into_iter().flatten() {
        let path = format!("spec.components.{component}");
        replicas(resource, name, &path, settings)?;
        for (index, group) in list(settings, "/groups").iter().enumerate() {
            let path = format!("{path}.groups[{index}]");
            if text(group, "/name").is_empty() {
                return Err(required(resource, name, &format!("{path}.name")));
            }
            if group.get("replicas").is_none() {
                return Err(required(resource, name, &format!("{path}.replicas")));
            }
            replicas(resource, name, &path, group)?;
        }
    }
    Ok(())
}

fn replicas(resource: &Resource, name: &str, path: &str, of: &Value) -> Result<(), Failure> {
    let Some(value) = of.get("replicas") else { return Ok(()) };
    let field = format!("{path}.replicas");
    match value.as_i64() {
        Some(count) if count >= -1 => Ok(()),
        Some(count) => {
            let words = format!("{field} in body should be greater than or equal to -1");
            Err(invalid(resource, name, &field, &count.to_string(), &words))
        }
        None => {
            let words = format!("{field} in body must be of type integer");
            Err(invalid(resource, name, &field, &value.to_string(), &words))
        }
    }
}

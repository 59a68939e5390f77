//! What the API server checks before it stores an object, as far as a client of this simulation
//! can get it wrong.

mod scaling;

use serde_json::Value;

use super::json::{self, list, number, text};
use super::request::Target;
use super::resource::{
    AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, EVENTS, LEASES, MILVUSES, Resource, SCALED_OBJECTS,
    STATEFUL_SETS,
};
use super::selector;
use super::status::Failure;

/// The largest ConfigMap, in bytes of its data.
const CONFIG_MAP_LIMIT: usize = 1 << 20;
/// The longest name of an object, and of a key of a ConfigMap.
const NAME_LIMIT: usize = 253;
/// What in a StatefulSet may be changed at all.
const CHANGEABLE_IN_STATEFUL_SET: &[&str] = &[
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "replicas",
    "revisionHistoryLimit",
    "template",
    "updateStrategy",
];

/// Refuses what may not be stored; `before` is the present object, if there is one.
pub(in crate::sim) fn check(
    target: &Target,
    name: &str,
    before: Option<&Value>,
    object: &Value,
) -> Result<(), Failure> {
    let resource = target.resource;
    let namespace = json::namespace(object);
    if !namespace.is_empty() && target.namespace.as_deref().is_some_and(|own| own != namespace) {
        return Err(Failure::other_namespace());
    }
    if before.is_none() {
        check_name(resource, name)?;
    }
    match resource.storage {
        CONFIG_MAPS => config_map(resource, name, object),
        LEASES => lease(resource, name, object),
        EVENTS => event(resource, name, object, target.namespace.as_deref()),
        DEPLOYMENTS | STATEFUL_SETS => workload(resource, name, before, object),
        AUTOSCALERS => scaling::autoscaler(resource, name, object),
        SCALED_OBJECTS => scaling::scaled_object(resource, name, object),
        MILVUSES => scaling::milvus(resource, name, object),
        _ => Ok(()),
    }
}

fn invalid(resource: &Resource, name: &str, field: &str, value: &str, words: &str) -> Failure {
    let words = format!("Invalid value: {value}: {words}");
    Failure::invalid_field(resource, name, field, "FieldValueInvalid", &words)
}

fn check_name(resource: &Resource, name: &str) -> Result<(), Failure> {
    let is_good = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "-.".contains(character)
    };
    let is_edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let sound = name.len() <= NAME_LIMIT
        && name.chars().all(is_good)
        && name.starts_with(is_edge)
        && name.ends_with(is_edge);
    if sound {
        return Ok(());
    }
    let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                 characters, '-' or '.', and must start and end with an alphanumeric character";
    Err(invalid(resource, name, "metadata.name", &format!("\"{name}\""), words))
}

fn config_map(resource: &Resource, name: &str, object: &Value) -> Result<(), Failure> {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in json::map(object, &format!("/{field}")).into_iter().flatten() {
            let Some(value) = value.as_str() else {
                return Err(Failure::bad_request(format!(
                    "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot \
                     unmarshal into Go struct field ConfigMap.{field} of type string"
                )));
            };
            size += value.len();
            let is_good =
                |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
            let sound = !key.is_empty() && key.len() <= NAME_LIMIT && key.chars().all(is_good);
            if !sound || key == "." || key == ".." {
                let words = "a valid config key must consist of alphanumeric characters, '-', '_' \
                             or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used \
                             for validation is '[-._a-zA-Z0-9]+')";
                let field = format!("{field}[{key}]");
                return Err(invalid(resource, name, &field, &format!("\"{key}\""), words));
            }
        }
    }
    if size > CONFIG_MAP_LIMIT {
        let words = format!("Too long: may not be more than {CONFIG_MAP_LIMIT} bytes");
        return Err(Failure::invalid_field(resource, name, "", "FieldValueTooLong", &words));
    }
    Ok(())
}

fn lease(resource: &Resource, name: &str, object: &Value) -> Result<(), Failure> {
    for field in ["acquireTime", "renewTime"] {
        let time = text(object, &format!("/spec/{field}"));
        if !time.is_empty() && !is_micro_time(time) {
            return Err(Failure::bad_request(format!(
                "Lease in version \"v1\" cannot be handled as a Lease: parsing time \"{time}\" as \
                 \"2006-01-02T15:04:05.000000Z07:00\": cannot parse"
            )));
        }
    }
    let least = |field: &str, least: i64, words: &str| {
        let value = number(object, &format!("/spec/{field}")).filter(|value| *value < least);
        let field = format!("spec.{field}");
        value
            .map_or(Ok(()), |value| Err(invalid(resource, name, &field, &value.to_string(), words)))
    };
    least("leaseDurationSeconds", 1, "must be greater than 0")?;
    least("leaseTransitions", 0, "must be greater than or equal to 0")
}

/// Times with microseconds must have exactly six digits of them.
fn is_micro_time(time: &str) -> bool {
    let fraction = time.split_once('.').map(|(_, rest)| rest);
    let digits = fraction.map(|rest| rest.chars().take_while(char::is_ascii_digit).count());
    digits == Some(6) && time.parse::<jiff::Timestamp>().is_ok()
}

fn event(
    resource: &Resource,
    name: &str,
    object: &Value,
    namespace: Option<&str>,
) -> Result<(), Failure> {
    let about = text(object, "/involvedObject/namespace");
    let place = namespace.unwrap_or_default();
    if about == place || (about.is_empty() && place == "default") {
        return Ok(());
    }
    let field = "involvedObject.namespace";
    Err(invalid(resource, name, field, &format!("\"{about}\""), "does not match event.namespace"))
}

fn workload(
    resource: &Resource,
    name: &str,
    before: Option<&Value>,
    object: &Value,
) -> Result<(), Failure> {
    if number(object, "/spec/replicas").is_some_and(|replicas| replicas < 0) {
        let words = "must be greater than or equal to 0";
        return Err(invalid(resource, name, "spec.replicas", "-1", words));
    }
    if let (Some(selector), Some(template)) =
        (object.pointer("/spec/selector"), object.pointer("/spec/template"))
        && !selector::matches_object(selector, template)
    {
        let labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
        let field = "spec.template.metadata.labels";
        let words = "`selector` does not match template `labels`";
        return Err(invalid(resource, name, field, &labels.to_string(), words));
    }
    if list(object, "/spec/template/spec/containers").is_empty() {
        let field = "spec.template.spec.containers";
        return Err(Failure::invalid_field(
            resource,
            name,
            field,
            "FieldValueRequired",
            "Required value",
        ));
    }
    let Some(before) = before else { return Ok(()) };
    let differs = |field: &str| before["spec"].get(field) != object["spec"].get(field);
    if resource.storage == DEPLOYMENTS && differs("selector") {
        let value = object["spec"]["selector"].to_string();
        return Err(invalid(resource, name, "spec.selector", &value, "field is immutable"));
    }
    let fields = json::map(object, "/spec").into_iter().chain(json::map(before, "/spec"));
    let mut fixed = fields
        .flatten()
        .map(|(field, _)| field.as_str())
        .filter(|field| !CHANGEABLE_IN_STATEFUL_SET.contains(field));
    if resource.storage == STATEFUL_SETS && fixed.any(differs) {
        let allowed = CHANGEABLE_IN_STATEFUL_SET.join("', '");
        let words = format!(
            "Forbidden: updates to statefulset spec for fields other than '{allowed}' are forbidden"
        );
        return Err(Failure::invalid_field(resource, name, "spec", "FieldValueForbidden", &words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_leases_have_six_digits_after_the_second() {
        for (time, expected) in [
            ("2026-01-01T00:00:00.123456Z", true),
            ("2026-01-01T00:00:00.123456+01:00", true),
            ("2026-01-01T00:00:00Z", false),
            ("2026-01-01T00:00:00.123Z", false),
            ("2026-01-01T00:00:00.123456789Z", false),
            ("yesterday.123456", false),
        ] {
            assert_eq!(is_micro_time(time), expected, "{time}");
        }
    }
}

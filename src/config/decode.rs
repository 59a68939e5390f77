//! From values to [`Settings`], finding every error rather than the first: a value that cannot be
//! taken is reported, left out, and the rest is tried again. Owns types and unknown keys; whether
//! a value makes sense is for `rules`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::layers;
use super::origins::{LAYERED_TABLES, Origins, Part};
use super::path::{KeyPath, Segment};
use super::problem::Problem;
use super::settings::{
    ProberDefaults, ProberSettings, RecovererDefaults, RecoverySettings, ScalerDefaults,
    ScalingSettings, Settings,
};
use super::wording;

/// So many values are left out before the search for more errors ends.
const TRIES: usize = 200;

/// A value that cannot be taken.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Where it stands, in the shape of the file.
    pub path: KeyPath,
    /// Why, in serde's words.
    pub message: String,
}

/// The settings that `user` (in the shape of the file) makes of the defaults.
///
/// # Errors
/// With the first value that cannot be taken.
pub(crate) fn decode(user: &Value) -> Result<Settings, Refusal> {
    let root = |error: &dyn std::fmt::Display| Refusal {
        path: KeyPath::default(),
        message: error.to_string(),
    };
    let defaults = to_value(&Settings::default());
    let mut merged = layers::merge(&[&defaults, user]).map_err(|error| root(&error))?;
    split::<ProberDefaults, ProberSettings>(&mut merged, "probers").map_err(|e| root(&e))?;
    split::<RecovererDefaults, RecoverySettings>(&mut merged, "recoverer").map_err(|e| root(&e))?;
    split::<ScalerDefaults, ScalingSettings>(&mut merged, "scaler").map_err(|e| root(&e))?;
    serde_path_to_error::deserialize(merged).map_err(|error| Refusal {
        path: file_path(error.path()),
        message: error.inner().to_string(),
    })
}

/// As [`decode`], but reports what cannot be taken, removes it from `user`, adds its path to
/// `left_out` and goes on.
pub(crate) fn decode_leaving_out(
    user: &mut Value,
    origins: &Origins,
    problems: &mut Vec<Problem>,
    left_out: &mut Vec<KeyPath>,
) -> Settings {
    for _ in 0..TRIES {
        let refusal = match decode(user) {
            Ok(settings) => return settings,
            Err(refusal) => refusal,
        };
        let path = origins.written(&refusal.path);
        problems.push(Problem {
            location: origins.locate(&path, Part::Value),
            message: wording::refused(&path, &refusal.message),
        });
        let removed = path.remove(user);
        left_out.push(path);
        if !removed {
            break;
        }
    }
    Settings::default()
}

/// Reports the keys of `user` that `settings` does not have.
pub(crate) fn unknown_keys(
    user: &Value,
    settings: &mut Settings,
    origins: &Origins,
    problems: &mut Vec<Problem>,
) {
    // All probers have the same keys; there may be thousands.
    let probers = std::mem::take(&mut settings.probers.components);
    let table = KeyPath::of(&["probers"]);
    let (shape, prober) = (to_value(settings), Value::Object(fields_of::<ProberSettings>()));
    let shape_of = |path: &KeyPath, key: &str| {
        (*path == table && probers.contains_key(key)).then_some(&prober)
    };
    compare(user, &shape, &KeyPath::default(), &shape_of, &mut |path, known| {
        problems.push(Problem {
            location: origins.locate(&path, Part::Key),
            message: wording::unknown_key(&path, known),
        });
    });
    settings.probers.components = probers;
}

/// The shape of what has this key in the table at this path, where it is not in the table's shape.
type ShapeOf<'a> = dyn Fn(&KeyPath, &str) -> Option<&'a Value> + 'a;

fn compare<'a>(
    user: &Value,
    shape: &'a Value,
    path: &KeyPath,
    shape_of: &ShapeOf<'a>,
    report: &mut dyn FnMut(KeyPath, &Map<String, Value>),
) {
    match (user, shape) {
        (Value::Object(user), Value::Object(shape)) => {
            for (key, value) in user {
                match shape.get(key).or_else(|| shape_of(path, key)) {
                    Some(shape) => compare(value, shape, &path.key(key), shape_of, report),
                    None => report(path.key(key), shape),
                }
            }
        }
        (Value::Array(user), Value::Array(shape)) => {
            for (index, (user, shape)) in user.iter().zip(shape).enumerate() {
                compare(user, shape, &path.index(index), shape_of, report);
            }
        }
        _ => {}
    }
}

/// The values of `settings`, in the shape of the file.
pub(crate) fn to_value(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// The keys that a table of type `T` can have.
pub(crate) fn fields_of<T: Default + Serialize>() -> Map<String, Value> {
    match to_value(&T::default()) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Takes the table `name` apart into the common keys and the components' tables, and lays each
/// component's table over the common keys. What is neither stays with the common keys.
fn split<Common, Component>(root: &mut Value, name: &str) -> Result<(), config::ConfigError>
where
    Common: Default + Serialize,
    Component: Default + Serialize,
{
    let Some(Value::Object(table)) = root.get_mut(name) else { return Ok(()) };
    let (common_fields, fields) = (fields_of::<Common>(), fields_of::<Component>());
    let (components, common): (Map<_, _>, Map<_, _>) = std::mem::take(table)
        .into_iter()
        .partition(|(key, value)| value.is_object() && !common_fields.contains_key(key));
    let is_inherited = |key: &str| fields.contains_key(key) && common_fields.contains_key(key);
    let inherited = common.iter().filter(|(key, _)| is_inherited(key));
    let inherited = inherited.map(|(key, value)| (key.clone(), value.clone())).collect();
    let inherited = Value::Object(inherited);
    let mut resolved = Map::new();
    for (component, own) in components {
        resolved.insert(component, layers::merge(&[&inherited, &own])?);
    }
    table.insert("defaults".into(), Value::Object(common));
    table.insert("components".into(), Value::Object(resolved));
    Ok(())
}

/// The path in the shape of the file, which has no `defaults` and `components`.
fn file_path(path: &serde_path_to_error::Path) -> KeyPath {
    use serde_path_to_error::Segment as Step;
    let mut converted = KeyPath::default();
    for step in path {
        match step {
            Step::Seq { index } => converted = converted.child(Segment::Index(*index)),
            Step::Map { key } => converted = converted.key(key),
            Step::Enum { .. } | Step::Unknown => {}
        }
    }
    if converted.key_at(0).is_some_and(|table| LAYERED_TABLES.contains(&table)) {
        return converted.without(1);
    }
    converted
}

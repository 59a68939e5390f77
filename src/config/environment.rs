//! `FALCONER__TABLE__KEY=value`: any key from the environment. Owns the names of the variables
//! and the choice of a type for their text; of a variable without the prefix it looks at the name only.

mod lookalikes;

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::{Map, Value};

use super::decode::{self, Refusal};
use super::document;
use super::layers;
use super::origins::Origins;
use super::path::KeyPath;
use super::problem::{Location, Problem};
use super::settings::Settings;
use super::wording;
use crate::effects::secret::VARIABLE_PREFIX;
pub(crate) use lookalikes::lookalikes;

/// What every variable begins with.
pub const PREFIX: &str = "FALCONER__";

/// What stands between two keys.
const SEPARATOR: &str = "__";

/// Keys that exist in the environment only; in the file there is `…_file` instead.
const SECRETS: [&str; 6] =
    ["password", "token", "webhook_url", "admin_token", "bot_token", "routing_key"];

/// The variables of a process, or of a test, by name.
pub type Variables = BTreeMap<OsString, OsString>;

/// The environment of this process.
pub fn of_this_process() -> Variables {
    std::env::vars_os().collect()
}

/// Lays the variables over `user`, which must be free of errors, and tells `origins` about them.
/// What cannot be taken becomes a problem that names the variable, its path goes to `left_out`.
pub(crate) fn overlay(
    user: &mut Value,
    variables: &Variables,
    origins: &mut Origins,
    problems: &mut Vec<Problem>,
    left_out: &mut Vec<KeyPath>,
) {
    let defaults = decode::to_value(&Settings::default());
    for (name, text) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let mut refuse = |message: String| {
            let location = Location::Environment { variable: name.to_owned() };
            problems.push(Problem { location, message });
        };
        let Some(text) = text.to_str() else {
            refuse("the value is not UTF-8 text".into());
            continue;
        };
        let Some(path) = path_of(name, &[user, &defaults]) else {
            refuse(format!("names no key; write {PREFIX}TABLE{SEPARATOR}KEY"));
            continue;
        };
        let (path, text) = match secret_file_for(&path) {
            Some(file) => (file, format!("{VARIABLE_PREFIX}{name}")),
            None => (path, text.to_owned()),
        };
        match take(user, &path, &text) {
            Ok(taken) => {
                *user = taken;
                origins.set_variable(path, name);
            }
            Err(message) => {
                refuse(message);
                left_out.push(path);
            }
        }
    }
}

/// A secret itself has no key, so that it never stands in the file. Its variable is as good as a
/// file: the key of the file then names the variable.
fn secret_file_for(path: &KeyPath) -> Option<KeyPath> {
    let key = path.key_at(path.segments().len().checked_sub(1)?)?;
    SECRETS.contains(&key).then(|| path.parent().map(|table| table.key(&format!("{key}_file"))))?
}

/// `user` with `text` at `path`, in the first form that the key takes: the text itself, the TOML
/// value that it spells, a list of what stands between its commas.
fn take(user: &Value, path: &KeyPath, text: &str) -> Result<Value, String> {
    let toml = document::parse_value(text);
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let items = Value::Array(items.map(|item| Value::String(item.to_owned())).collect());
    let telling = usize::from(toml.is_some());
    let forms = [Some(Value::String(text.to_owned())), toml, Some(items)];
    let mut refusals = Vec::new();
    for form in forms.into_iter().flatten() {
        match attempt(user, path, form) {
            Ok(taken) => return Ok(taken),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let refusal = refusals.into_iter().nth(telling);
    Err(refusal.map_or_else(
        || format!("{} cannot be set", path.describe()),
        |refusal| wording::refused(&refusal.path, &refusal.message),
    ))
}

fn attempt(user: &Value, path: &KeyPath, form: Value) -> Result<Value, Refusal> {
    let mut layer = Value::Object(Map::new());
    path.insert(&mut layer, form);
    let merged = layers::merge(&[user, &layer])
        .map_err(|error| Refusal { path: path.clone(), message: error.to_string() })?;
    decode::decode(&merged).map(|_| merged)
}

/// The path that a variable's name means. Names in a file may have upper case, dashes and dots,
/// which a variable's name spells as lower case and underscores: `MILVUS_HA` is `milvus-ha`.
fn path_of(name: &str, known: &[&Value]) -> Option<KeyPath> {
    let mut tables: Vec<Option<&Value>> = known.iter().map(|value| Some(*value)).collect();
    let mut path = KeyPath::default();
    for step in name.strip_prefix(PREFIX)?.split(SEPARATOR) {
        if step.is_empty() {
            return None;
        }
        let keys = tables.iter().flatten().filter_map(|table| table.as_object());
        let mut keys = keys.flat_map(Map::keys).filter(|key| normal(key) == normal(step));
        let key = keys.next().cloned().unwrap_or_else(|| step.to_lowercase());
        path = path.key(&key);
        for table in &mut tables {
            *table = table.and_then(|table| table.get(&key));
        }
    }
    Some(path)
}

fn normal(key: &str) -> String {
    key.to_lowercase().replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_variable_finds_names_with_dashes_dots_and_capitals() {
        let user = json!({"clusters": {"milvus-ha": {}}, "alerter": {"webhook": {"On.Call": {}}}});
        let path = |name: &str| path_of(name, &[&user]).map(|path| path.to_string());
        assert_eq!(
            path("FALCONER__CLUSTERS__MILVUS_HA__NAMESPACE").unwrap(),
            "clusters.milvus-ha.namespace"
        );
        assert_eq!(
            path("FALCONER__ALERTER__WEBHOOK__ON_CALL__URL").unwrap(),
            "alerter.webhook.\"On.Call\".url"
        );
        assert_eq!(path("FALCONER__PROBERS__NEW__URL").unwrap(), "probers.new.url");
        assert_eq!(path("FALCONER__"), None);
        assert_eq!(path("FALCONER__A____B"), None);
    }

    #[test]
    fn a_secret_in_a_variable_becomes_the_name_of_the_variable() {
        let path = |keys: &[&str]| secret_file_for(&KeyPath::of(keys)).map(|path| path.to_string());
        assert_eq!(path(&["alerter", "email", "password"]).unwrap(), "alerter.email.password_file");
        assert_eq!(
            path(&["clusters", "a", "auth", "token"]).unwrap(),
            "clusters.a.auth.token_file"
        );
        assert_eq!(path(&["alerter", "email", "host"]), None);
    }

    #[test]
    fn text_takes_the_type_of_its_key() {
        let taken = |keys: &[&str], text: &str| {
            let path = KeyPath::of(keys);
            take(&json!({}), &path, text).map(|tree| path.find(&tree).cloned().unwrap())
        };
        assert_eq!(taken(&["alerter", "email", "port"], "25"), Ok(json!(25)));
        assert_eq!(taken(&["alerter", "email", "username"], "25"), Ok(json!("25")));
        assert_eq!(taken(&["alerter", "email", "to"], "a@b, c@d"), Ok(json!(["a@b", "c@d"])));
        assert_eq!(taken(&["alerter", "email", "to"], "[\"a@b\"]"), Ok(json!(["a@b"])));
        assert_eq!(taken(&["recoverer", "enabled"], "false"), Ok(json!(false)));
        assert_eq!(taken(&["clusters", "a", "components"], "auto"), Ok(json!("auto")));
        assert_eq!(taken(&["clusters", "a", "components"], "proxy"), Ok(json!(["proxy"])));
        let error = taken(&["alerter", "email", "port"], "-1").unwrap_err();
        assert_eq!(
            error,
            "\"port\" in [alerter.email] must be a whole number from 0 to 65535, not the number -1"
        );
    }
}

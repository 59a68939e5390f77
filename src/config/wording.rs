//! How errors are put: serde's terse messages and unknown keys as sentences for people who write
//! TOML, with the nearest known name. Owns words only.

use serde_json::{Map, Value};

use super::decode::fields_of;
use super::path::KeyPath;
use super::settings::{ProberSettings, RecoverySettings, ScalingSettings};

/// More known names than this are not listed.
const LISTED_NAMES: usize = 16;

/// `"a", "b" or "c"`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// The known name that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A distance is quadratic in the lengths; no name that was meant is this long.
    let length = name.chars().count();
    if length > 64 {
        return None;
    }
    let close_enough = 1 + length / 4;
    let name = name.to_lowercase();
    let distance = |known: &str| {
        // `password` means `password_file`, however long the rest is.
        let is_beginning =
            length > 2 && known.strip_prefix(&name).is_some_and(|r| r.starts_with('_'));
        if is_beginning { 1 } else { strsim::damerau_levenshtein(&name, &known.to_lowercase()) }
    };
    known
        .into_iter()
        .map(|known| (distance(known), known))
        .filter(|(distance, known)| *distance <= close_enough && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `; did you mean "interval"?`, or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(known) => format!("; did you mean \"{known}\"?"),
        None => String::new(),
    }
}

/// `unknown key "intervall" in [probers.proxy]; did you mean "interval"?`
pub(crate) fn unknown_key(path: &KeyPath, known: &Map<String, Value>) -> String {
    let Some(key) = path.segments().len().checked_sub(1).and_then(|last| path.key_at(last)) else {
        return format!("unknown key \"{path}\"");
    };
    let place = path.parent().unwrap_or_default().describe_table();
    let of_component = match path.segments().len() {
        2 => path.key_at(0).filter(|table| component_has(table, key)),
        _ => None,
    };
    let hint = if let Some(table) = of_component {
        format!("; it belongs to one component, in [{table}.NAME]")
    } else if nearest(key, known.keys().map(String::as_str)).is_some() {
        did_you_mean(key, known.keys().map(String::as_str))
    } else if (1..=LISTED_NAMES).contains(&known.len()) {
        format!("; known are {}", list(known.keys().map(String::as_str)).replace(" or ", " and "))
    } else {
        String::new()
    };
    format!("unknown key \"{key}\" {place}{hint}")
}

/// Whether a component's table under `table` has `key`.
fn component_has(table: &str, key: &str) -> bool {
    match table {
        "probers" => fields_of::<ProberSettings>().contains_key(key),
        "recoverer" => fields_of::<RecoverySettings>().contains_key(key),
        "scaler" => fields_of::<ScalingSettings>().contains_key(key),
        _ => false,
    }
}

/// What serde says against a value, as a sentence about its key.
pub(crate) fn refused(path: &KeyPath, message: &str) -> String {
    let described = path.describe();
    if let Some((found, expected)) = split_expected(message, "invalid type: ")
        .or_else(|| split_expected(message, "invalid value: "))
        .or_else(|| split_expected(message, "invalid length "))
    {
        return format!(
            "{described} must be {}, not {}",
            expected_words(expected),
            found_words(found)
        );
    }
    if let Some((variant, expected)) = split_expected(message, "unknown variant ") {
        let variant = variant.trim_matches('`');
        let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let hint = did_you_mean(variant, names.iter().copied());
        return format!("{described} must be {}, not {variant:?}{hint}", list(names));
    }
    // The standard library's own words, which do not name what is expected.
    if message.contains("socket address") {
        return format!("{described} must be an address and a port such as \"0.0.0.0:8000\"");
    }
    format!("{described}: {message}")
}

fn split_expected<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(prefix)?.rsplit_once(", expected ")
}

/// What serde calls the thing it wants, for people who write TOML.
fn expected_words(expected: &str) -> String {
    match expected {
        "a string" | "string" => "a string".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        "a boolean" => "true or false".into(),
        "f64" => "a number".into(),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number from 0".into(),
        "path string" => "a path".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other => other.into(),
    }
}

/// What serde calls the thing it found.
fn found_words(found: &str) -> String {
    let quoted = found.trim_start_matches(|c: char| c != '`').trim_matches('`');
    if found.starts_with("integer ") || found.starts_with("floating point ") {
        format!("the number {quoted}")
    } else if found.starts_with("boolean ") {
        quoted.to_owned()
    } else {
        match found {
            "sequence" => "a list".into(),
            "map" => "a table".into(),
            "null" => "nothing".into(),
            other => other.strip_prefix("string ").unwrap_or(other).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["interval", "timeout", "mailbox"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("Interval", known), Some("interval"));
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("password", ["username", "password_file"]), Some("password_file"));
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn refusals_are_sentences_about_the_key() {
        let path = KeyPath::of(&["probers", "proxy", "interval"]);
        let message =
            refused(&path, "invalid type: integer `30`, expected a duration such as \"30s\"");
        assert_eq!(
            message,
            "\"interval\" in [probers.proxy] must be a duration such as \"30s\", not the number 30"
        );
        let path = KeyPath::of(&["clusters", "a", "platform"]);
        let message =
            refused(&path, "unknown variant `proces`, expected `kubernetes` or `process`");
        assert_eq!(
            message,
            "\"platform\" in [clusters.a] must be \"kubernetes\" or \"process\", not \"proces\"; \
             did you mean \"process\"?"
        );
    }
}

//! Variables whose names are almost those of keys and mean nothing: with one underscore too few, or in
//! lower case. Owns the guess at what was meant; never looks at what they hold.

use serde_json::Value;

use super::{PREFIX, SECRETS, SEPARATOR, Variables, normal};
use crate::config::decode;
use crate::config::problem::{Location, Problem};
use crate::config::settings::Settings;
use crate::config::wording;

/// How such a name begins, in whatever case.
const BEGINNING: &str = "FALCONER_";

/// A warning for each. What a platform sets of itself (`FALCONER_PORT`, `FALCONER_SERVICE_HOST`) and
/// what other programs use is left alone.
pub(crate) fn lookalikes(settings: &Settings, variables: &Variables) -> Vec<Problem> {
    let strangers = variables.keys().filter_map(|name| name.to_str());
    let strangers: Vec<(&str, String)> = strangers
        .filter(|name| !name.starts_with(PREFIX))
        .filter_map(|name| Some((name, name.to_uppercase().strip_prefix(BEGINNING)?.to_owned())))
        .collect();
    if strangers.is_empty() {
        return Vec::new();
    }
    let known = names(settings);
    let problem = |(name, rest): (&str, String)| {
        let same = known.iter().find(|known| flat(known) == flat(&format!("{PREFIX}{rest}")));
        let is_meant = same.is_some() || rest.trim_start_matches('_').contains(SEPARATOR);
        let wanted = format!("{PREFIX}{}", rest.trim_start_matches('_'));
        let guess = same.map(String::as_str);
        let guess = guess.or_else(|| wording::nearest(&wanted, known.iter().map(String::as_str)));
        let hint = guess.map(|guess| format!("; did you mean {guess}?")).unwrap_or_default();
        let message = format!("has no effect: write {PREFIX}TABLE{SEPARATOR}KEY{hint}");
        let location = Location::Environment { variable: name.to_owned() };
        is_meant.then_some(Problem { location, message })
    };
    strangers.into_iter().filter_map(problem).collect()
}

/// The names of the variables of all keys that there are.
fn names(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    for tree in [decode::to_value(settings), decode::to_value(&Settings::default())] {
        collect(&tree, PREFIX.trim_end_matches('_'), &mut found);
    }
    for secret in SECRETS {
        let file = format!("{SEPARATOR}{}_FILE", secret.to_uppercase());
        let of_file = found.iter().filter(|name| name.ends_with(&file));
        let secrets: Vec<String> =
            of_file.filter_map(|name| name.strip_suffix("_FILE").map(str::to_owned)).collect();
        found.extend(secrets);
    }
    found.sort();
    found.dedup();
    found
}

fn collect(tree: &Value, name: &str, found: &mut Vec<String>) {
    match tree {
        Value::Object(table) => {
            for (key, value) in table {
                collect(value, &format!("{name}{SEPARATOR}{}", normal(key).to_uppercase()), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            found.push(name.to_owned());
        }
    }
}

/// However many underscores there are in a row.
fn flat(name: &str) -> String {
    name.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_guessed_and_what_others_set_is_left_alone() {
        let said = |name: &str| {
            let variables = Variables::from([(name.into(), "1".into())]);
            let found = lookalikes(&Settings::default(), &variables);
            found.first().map(ToString::to_string).unwrap_or_default()
        };
        for (name, meant) in [
            ("FALCONER_PROBERS__INTERVAL", "FALCONER__PROBERS__INTERVAL"),
            ("FALCONER_PROBERS__INTERVALL", "FALCONER__PROBERS__INTERVAL"),
            ("FALCONER_PROBERS_INTERVAL", "FALCONER__PROBERS__INTERVAL"),
            ("falconer__probers__interval", "FALCONER__PROBERS__INTERVAL"),
            ("FALCONER___SERVER__LISTEN", ""),
            ("FALCONER_ALERTER__EMAIL__PASSWORD", "FALCONER__ALERTER__EMAIL__PASSWORD"),
            ("FALCONER_SCALER__SCALE_UP__SELECT", "FALCONER__SCALER__SCALE_UP__SELECT"),
        ] {
            let hint = format!("; did you mean {meant}?");
            let expected = if meant.is_empty() {
                String::new()
            } else {
                format!("{name}: has no effect: write FALCONER__TABLE__KEY{hint}")
            };
            assert_eq!(said(name), expected);
        }
        let none = "FALCONER_NO__SUCH__THING: has no effect: write FALCONER__TABLE__KEY";
        assert_eq!(said("FALCONER_NO__SUCH__THING"), none);
        for name in [
            "FALCONER__PROBERS__INTERVALL",
            "FALCONER_PORT",
            "FALCONER_PORT_8000_TCP_ADDR",
            "FALCONER_SERVICE_HOST",
            "FALCONER_LOG",
            "FALCONER_TEST_TOOLS",
            "FALCON_PROBERS__INTERVAL",
            "PATH",
        ] {
            assert_eq!(said(name), "");
        }
    }
}

//! Label and field selectors.

use serde_json::Value;

use super::json;

/// What a list or a watch is limited to.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads the query parameters; the text of what cannot be understood is the error.
    pub(in crate::sim) fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        let labels =
            split_terms(labels).iter().map(|term| requirement(term)).collect::<Result<_, _>>()?;
        let fields =
            split_terms(fields).iter().map(|term| field(term)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// The paths of the fields that it looks at.
    pub(in crate::sim) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(path, _, _)| path.as_str())
    }

    /// Whether `object` is selected.
    pub(in crate::sim) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(object))
            && self.fields.iter().all(|(path, equal, value)| {
                (json::text(object, &format!("/{}", path.replace('.', "/"))) == value) == *equal
            })
    }
}

/// Whether the labels of `object` are selected by a `LabelSelector` object. An empty one selects
/// everything.
pub(in crate::sim) fn matches_object(selector: &Value, object: &Value) -> bool {
    let exact = json::map(selector, "/matchLabels").into_iter().flatten();
    let exact = exact.map(|(key, value)| {
        Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()])
    });
    let expressions = json::list(selector, "/matchExpressions").iter().map(|expression| {
        let key = json::text(expression, "/key").to_owned();
        let values = json::list(expression, "/values").iter();
        let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
        match json::text(expression, "/operator") {
            "NotIn" => Requirement::NotIn(key, values),
            "Exists" => Requirement::Exists(key),
            "DoesNotExist" => Requirement::Absent(key),
            _ => Requirement::In(key, values),
        }
    });
    exact.chain(expressions).all(|requirement| requirement.holds(object))
}

impl Requirement {
    fn holds(&self, object: &Value) -> bool {
        let label = |key: &str| {
            let labels = object.pointer("/metadata/labels")?;
            labels.get(key)?.as_str().map(str::to_owned)
        };
        match self {
            Self::In(key, values) => label(key).is_some_and(|value| values.contains(&value)),
            Self::NotIn(key, values) => label(key).is_none_or(|value| !values.contains(&value)),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
        }
    }
}

/// Splits at commas that are not inside parentheses.
fn split_terms(selector: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0_u32;
    for character in selector.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(character);
        }
    }
    terms.iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn requirement(term: &str) -> Result<Requirement, String> {
    if let Some((key, values)) = term.split_once(" notin ") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), set_of(values)?));
    }
    if let Some((key, values)) = term.split_once(" in ") {
        return Ok(Requirement::In(key.trim().to_owned(), set_of(values)?));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once('=') {
        let value = value.trim_start_matches('=').trim().to_owned();
        return Ok(Requirement::In(key.trim().to_owned(), vec![value]));
    }
    if let Some(key) = term.strip_prefix('!') {
        return Ok(Requirement::Absent(key.trim().to_owned()));
    }
    if term.contains(char::is_whitespace) {
        return Err(format!("unable to parse requirement: {term}"));
    }
    Ok(Requirement::Exists(term.to_owned()))
}

fn set_of(values: &str) -> Result<Vec<String>, String> {
    let inner = values
        .trim()
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| format!("unable to parse requirement: expected (…), found {values}"))?;
    Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

fn field(term: &str) -> Result<(String, bool, String), String> {
    let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
        (path, false, value)
    } else if let Some((path, value)) = term.split_once('=') {
        (path, true, value.trim_start_matches('='))
    } else {
        return Err(format!("invalid selector: '{term}'; can't understand '{term}'"));
    };
    Ok((path.trim().to_owned(), equal, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_choose_by_labels_and_fields() {
        let pod = json!({"metadata": {"name": "a", "labels": {"component": "proxy", "x": "1"}}});
        let cases = [
            ("component=proxy", "", true),
            ("component==proxy,x", "", true),
            ("component in (proxy, querynode),!y", "", true),
            ("component notin (proxy)", "", false),
            ("component!=proxy", "", false),
            ("y", "", false),
            ("", "metadata.name=a", true),
            ("", "metadata.name!=a", false),
        ];
        for (labels, fields, expected) in cases {
            let selector = Selector::parse(labels, fields).expect("valid");
            assert_eq!(selector.matches(&pod), expected, "{labels} {fields}");
        }
        assert!(Selector::parse("a b", "").is_err());
        assert!(Selector::parse("", "name").is_err());
    }
}

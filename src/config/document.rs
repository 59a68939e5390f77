//! The file as text: its values and where each of them stands. Owns reading, TOML syntax and
//! positions; never judges what the keys mean.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::KeyPath;
use super::problem::{ConfigErrors, Location, Problem};

/// No configuration file is longer, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Where a key and its value begin, in bytes from the beginning of the file.
#[derive(Debug, Clone, Copy)]
struct Span {
    key: usize,
    value: usize,
}

/// No dotted key has more parts.
const DEEPEST_KEY: usize = 32;

/// A configuration file, parsed.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file as the user named it.
    file: Arc<str>,
    text: String,
    spans: BTreeMap<KeyPath, Span>,
    /// The values, as a table.
    pub tree: Value,
    /// Values that TOML allows and that are used nowhere (dates, infinities); not in `tree`.
    pub problems: Vec<Problem>,
}

impl Document {
    /// Reads and parses the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is too long, is not UTF-8 or not TOML.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let bytes = read_bounded(path).map_err(|reason| ConfigErrors::whole(&file, reason))?;
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&file, text),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let location = locate(&file.into(), &text, valid);
                let message = "the file is not UTF-8 text from here on".to_owned();
                Err(ConfigErrors::new(vec![Problem { location, message }]))
            }
        }
    }

    /// Parses `text`, which messages call `file`.
    ///
    /// # Errors
    /// With all places that are not TOML.
    pub fn parse(file: &str, text: impl Into<String>) -> Result<Self, ConfigErrors> {
        let mut document = Self {
            file: file.into(),
            text: text.into(),
            spans: BTreeMap::new(),
            tree: Value::Object(Map::new()),
            problems: Vec::new(),
        };
        let text = std::mem::take(&mut document.text);
        if let Some(offset) = too_deep(&text) {
            let location = locate(&document.file, &text, offset);
            let message = format!("a key of more than {DEEPEST_KEY} parts");
            return Err(ConfigErrors::new(vec![Problem { location, message }]));
        }
        let (table, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            let problems = errors.iter().map(|error| {
                let offset = error.span().map_or(0, |span| span.start);
                let message = format!("not TOML: {}", error.message());
                Problem { location: locate(&document.file, &text, offset), message }
            });
            return Err(ConfigErrors::new(problems.collect()));
        }
        let mut refused = Vec::new();
        document.tree = document.table(table.get_ref(), &KeyPath::default(), &mut refused);
        drop(table);
        document.text = text;
        let problems = refused.into_iter().map(|(path, offset, why)| Problem {
            location: locate(&document.file, &document.text, offset),
            message: format!("{} {why}", path.describe()),
        });
        document.problems = problems.collect();
        Ok(document)
    }

    /// The file as the user named it.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Where the key at `path` stands, if it is in the file.
    pub fn key(&self, path: &KeyPath) -> Option<Location> {
        self.spans.get(path).map(|span| locate(&self.file, &self.text, span.key))
    }

    /// Where the value at `path` stands, if it is in the file.
    pub fn value(&self, path: &KeyPath) -> Option<Location> {
        self.spans.get(path).map(|span| locate(&self.file, &self.text, span.value))
    }

    /// The keys that begin a line, by that line's number, counted from 1.
    pub fn keys_at_line_starts(&self) -> BTreeMap<usize, &KeyPath> {
        let mut line_starts = BTreeMap::from([(0, 1)]);
        let newlines = self.text.match_indices('\n').enumerate();
        line_starts.extend(newlines.map(|(number, (offset, _))| (offset + 1, number + 2)));
        let keys = self.spans.iter();
        keys.filter_map(|(path, span)| Some((*line_starts.get(&span.key)?, path))).collect()
    }

    fn table(&mut self, table: &DeTable<'_>, path: &KeyPath, refused: &mut Refused) -> Value {
        let mut values = Map::new();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let span = Span { key: key.span().start, value: value.span().start };
            self.spans.insert(path.clone(), span);
            if let Some(converted) = self.convert(value, &path, refused) {
                values.insert(key.get_ref().to_string(), converted);
            }
        }
        Value::Object(values)
    }

    fn convert(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        path: &KeyPath,
        refused: &mut Refused,
    ) -> Option<Value> {
        match value.get_ref() {
            DeValue::Table(table) => Some(self.table(table, path, refused)),
            DeValue::Array(array) => {
                let mut elements = Vec::new();
                for (index, element) in array.iter().enumerate() {
                    let path = path.index(index);
                    let start = element.span().start;
                    self.spans.insert(path.clone(), Span { key: start, value: start });
                    elements.push(self.convert(element, &path, refused)?);
                }
                Some(Value::Array(elements))
            }
            scalar => match self::scalar(scalar) {
                Ok(converted) => Some(converted),
                Err(why) => {
                    refused.push((path.clone(), value.span().start, why));
                    None
                }
            },
        }
    }
}

/// Values that were left out: which, where, why.
type Refused = Vec<(KeyPath, usize, &'static str)>;

/// A TOML value written in an environment variable, such as `5`, `true` or `["a", "b"]`.
pub fn parse_value(text: &str) -> Option<Value> {
    let document = Document::parse("", format!("value = {text}")).ok()?;
    let table = document.tree.as_object()?;
    if table.len() != 1 || !document.problems.is_empty() {
        return None;
    }
    table.get("value").cloned()
}

/// Where a dotted key has more than [`DEEPEST_KEY`] parts. Tables are walked, and freed, by
/// recursion, and the parser bounds the depth of brackets only.
fn too_deep(text: &str) -> Option<usize> {
    let (mut parts, mut quote) = (1, None);
    for (offset, c) in text.char_indices() {
        match (quote, c) {
            (_, '\n') => (parts, quote) = (1, None),
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '.') => parts += 1,
            (None, _) if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ' | '\t') => {}
            (None, _) => parts = 1,
        }
        if parts > DEEPEST_KEY {
            return Some(offset);
        }
    }
    None
}

fn scalar(value: &DeValue<'_>) -> Result<Value, &'static str> {
    match value {
        DeValue::String(text) => Ok(Value::String(text.to_string())),
        DeValue::Boolean(flag) => Ok(Value::Bool(*flag)),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let signed = i64::from_str_radix(digits, radix).map(Number::from);
            let number = signed.or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
            number.map(Value::Number).map_err(|_| "is a number out of range")
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or("must be a finite number")
        }
        DeValue::Datetime(_) => Err("is a date, which no key takes"),
        DeValue::Array(_) | DeValue::Table(_) => Err("is not a single value"),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            "no such file; name another with --config FILE, or write one: a table \
             [clusters.NAME] with its platform is enough, and `falconer check --print` shows \
             every key with its default"
                .to_owned()
        } else {
            format!("cannot be read: {error}")
        }
    };
    // Asked before it is opened: opening a named pipe would wait for its writer.
    if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Err("is a directory".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("longer than {FILE_LIMIT} bytes"));
    }
    Ok(bytes)
}

fn locate(file: &Arc<str>, text: &str, offset: usize) -> Location {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Location::File {
        file: Arc::clone(file),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(document: &Document, keys: &[&str]) -> (String, String) {
        let path = KeyPath::of(keys);
        let show = |location: Option<Location>| location.unwrap().to_string();
        (show(document.key(&path)), show(document.value(&path)))
    }

    #[test]
    fn keys_and_values_know_their_line_and_column() {
        let text = "[a.b]\n# ä\nkey = \"ö\" \ninline = { x = 1, y = [2,\n 3] }\n";
        let document = Document::parse("f", text).unwrap();
        assert_eq!(at(&document, &["a", "b", "key"]), ("f:3:1".into(), "f:3:7".into()));
        assert_eq!(at(&document, &["a", "b", "inline", "x"]).0, "f:4:12");
        let element = KeyPath::of(&["a", "b", "inline", "y"]).index(1);
        assert_eq!(document.value(&element).unwrap().to_string(), "f:5:2");
        assert_eq!(at(&document, &["a", "b"]).0, "f:1:4");
        assert_eq!(at(&document, &["a", "b"]).1, "f:1:1");
    }

    #[test]
    fn syntax_errors_name_every_place() {
        let errors = Document::parse("f", "a = \nb = 1\nb = 2\n").unwrap_err();
        let places: Vec<String> =
            errors.problems().iter().map(|problem| problem.location.to_string()).collect();
        assert_eq!(places, ["f:1:5", "f:3:1"]);
    }

    #[test]
    fn values_that_no_key_takes_are_problems() {
        let document = Document::parse("f", "a = nan\nb = 1979-05-27\nc = 1").unwrap();
        assert_eq!(document.problems.len(), 2);
        assert_eq!(document.tree, serde_json::json!({"c": 1}));
        let huge = Document::parse("f", "a = 99999999999999999999").unwrap();
        assert!(huge.problems[0].to_string().ends_with("is a number out of range"));
    }

    #[test]
    fn a_value_of_the_environment_is_one_value() {
        assert_eq!(parse_value("[1, 2]"), Some(serde_json::json!([1, 2])));
        assert_eq!(parse_value("1\nother = 2"), None);
        assert_eq!(parse_value("a,b"), None);
    }
}

//! Where a value stands: a path of keys and list indices, and how people read it. Owns naming and
//! walking; knows nothing of files.

use std::fmt;

use serde_json::Value;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A key of a table.
    Key(String),
    /// An element of a list, counted from 0.
    Index(usize),
}

/// The path from the root of the configuration to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyPath(Vec<Segment>);

impl KeyPath {
    /// A path of keys.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())
    }

    /// The steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// This path and one more key.
    pub fn key(&self, key: &str) -> Self {
        self.child(Segment::Key(key.to_owned()))
    }

    /// This path and one more index.
    pub fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    /// This path and one more step.
    pub fn child(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }

    /// The path without its last step; `None` at the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    /// Whether `self` is `other` or leads to something inside it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path without the step at `position`, if it is there.
    pub fn without(&self, position: usize) -> Self {
        let kept = self.0.iter().enumerate().filter(|(index, _)| *index != position);
        Self(kept.map(|(_, segment)| segment.clone()).collect())
    }

    /// The key at `position`, if there is one.
    pub fn key_at(&self, position: usize) -> Option<&str> {
        match self.0.get(position)? {
            Segment::Key(key) => Some(key),
            Segment::Index(_) => None,
        }
    }

    /// The table that the value's key stands in, and the rest of the path: `probers.proxy` and
    /// `interval`, or `scaler` and `components[0]`.
    fn split(&self) -> (&[Segment], &[Segment]) {
        let last_key = self.0.iter().rposition(|segment| matches!(segment, Segment::Key(_)));
        self.0.split_at(last_key.unwrap_or(0))
    }

    /// As messages name a value: `"interval" in [probers.proxy]`.
    pub fn describe(&self) -> String {
        let (table, rest) = self.split();
        let name = match rest {
            [Segment::Key(key)] => key.clone(),
            _ => plain(rest),
        };
        format!("\"{name}\" {}", place(table))
    }

    /// As messages name a table: `in [probers.proxy]`, `at the top level`.
    pub fn describe_table(&self) -> String {
        place(&self.0)
    }

    /// The value at this path.
    pub fn find<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(root, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        })
    }

    /// Removes the value at this path; of an element its whole list, so that the others keep
    /// their numbers. False where nothing was there.
    pub fn remove(&self, root: &mut Value) -> bool {
        let (table, rest) = self.split();
        let Some(Segment::Key(key)) = rest.first() else { return false };
        let table = table.iter().try_fold(root, |value, segment| match segment {
            Segment::Key(key) => value.get_mut(key),
            Segment::Index(index) => value.get_mut(index),
        });
        let removed = table.and_then(Value::as_object_mut).and_then(|table| table.remove(key));
        removed.is_some()
    }

    /// Puts `value` at this path, which must consist of keys; tables on the way are made, and
    /// replace what is not a table.
    pub fn insert(&self, root: &mut Value, value: Value) {
        let mut slot = root;
        for segment in &self.0 {
            let Segment::Key(key) = segment else { return };
            if !slot.is_object() {
                *slot = Value::Object(serde_json::Map::new());
            }
            let Value::Object(table) = slot else { return };
            slot = table.entry(key.clone()).or_insert(Value::Null);
        }
        *slot = value;
    }
}

fn place(table: &[Segment]) -> String {
    if table.is_empty() { "at the top level".into() } else { format!("in [{}]", plain(table)) }
}

fn plain(segments: &[Segment]) -> String {
    KeyPath(segments.to_vec()).to_string()
}

/// Whether TOML takes the key without quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// As in TOML: `clusters.milvus-ha.auth`, `scaler.components[0]`.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    if is_bare(key) { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_reads_like_toml() {
        let path = KeyPath::of(&["clusters", "a.b", "depends_on"]).index(1);
        assert_eq!(path.to_string(), "clusters.\"a.b\".depends_on[1]");
        assert_eq!(path.describe(), "\"depends_on[1]\" in [clusters.\"a.b\"]");
        assert_eq!(KeyPath::of(&["server"]).describe(), "\"server\" at the top level");
    }

    #[test]
    fn values_are_found_inserted_and_removed() {
        let mut root = json!({"a": {"b": [{"c": 1}, {"c": 2}]}});
        let path = KeyPath::of(&["a", "b"]).index(1).key("c");
        assert_eq!(path.find(&root), Some(&json!(2)));
        assert!(path.remove(&mut root));
        assert!(!path.remove(&mut root));
        assert_eq!(root, json!({"a": {"b": [{"c": 1}, {}]}}));
        assert!(KeyPath::of(&["a", "b"]).index(0).remove(&mut root));
        KeyPath::of(&["a", "x", "y"]).insert(&mut root, json!(true));
        assert_eq!(root, json!({"a": {"x": {"y": true}}}));
    }
}

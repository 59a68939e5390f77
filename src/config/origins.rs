//! Where each effective value comes from: the file, an environment variable, or nowhere (the
//! default). Owns the look-up that turns a path into a place to name in a message.

use std::collections::BTreeMap;
use std::fmt;

use super::document::Document;
use super::path::KeyPath;
use super::problem::Location;

/// Tables whose own keys are the defaults of their sub-tables.
pub(crate) const LAYERED_TABLES: [&str; 3] = ["probers", "recoverer", "scaler"];

/// Where an effective value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file.
    File {
        /// `actors.toml:12`.
        place: String,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
}

/// As the comment of `check --print`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { place } => f.write_str(place),
            Self::Environment { variable } => write!(f, "environment {variable}"),
        }
    }
}

/// Whether a message is about a key or about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// The origins of everything that was set.
#[derive(Debug, Clone)]
pub struct Origins {
    document: Document,
    variables: BTreeMap<KeyPath, String>,
}

impl Origins {
    /// Everything that `document` sets.
    pub fn new(document: Document) -> Self {
        Self { document, variables: BTreeMap::new() }
    }

    /// From now on the value at `path` comes from `variable`.
    pub fn set_variable(&mut self, path: KeyPath, variable: &str) {
        self.variables.insert(path, variable.to_owned());
    }

    /// Where the effective value at `path` comes from.
    pub fn origin(&self, path: &KeyPath) -> Origin {
        let path = self.written(path);
        if let Some(variable) = self.variable(&path) {
            return Origin::Environment { variable: variable.to_owned() };
        }
        match self.document.key(&path) {
            Some(Location::File { file, line, .. }) => {
                Origin::File { place: format!("{file}:{line}") }
            }
            _ => Origin::Default,
        }
    }

    /// Whether somebody set the value at `path`, or something inside it.
    pub fn is_set(&self, path: &KeyPath) -> bool {
        let path = self.written(path);
        self.document.key(&path).is_some()
            || self.variable(&path).is_some()
            || self.variables.keys().any(|set| set.is_within(&path))
    }

    /// The path under which the effective value at `path` was written: that of the component's
    /// own table, or that of the common table it inherits from.
    pub fn written(&self, path: &KeyPath) -> KeyPath {
        let layered = path.key_at(0).is_some_and(|table| LAYERED_TABLES.contains(&table));
        if !layered || path.segments().len() < 3 || self.knows(path) {
            return path.clone();
        }
        let common = path.without(1);
        if self.knows(&common) { common } else { path.clone() }
    }

    /// The place to name for a problem at `path`: where it was written, else what is nearest.
    pub(crate) fn locate(&self, path: &KeyPath, part: Part) -> Location {
        let mut path = self.written(path);
        let mut part = part;
        loop {
            if let Some(variable) = self.variable(&path) {
                return Location::Environment { variable: variable.to_owned() };
            }
            let place = match part {
                Part::Key => self.document.key(&path),
                Part::Value => self.document.value(&path),
            };
            if let Some(place) = place {
                return place;
            }
            if path.segments().is_empty() {
                return Location::Whole { file: self.document.file().clone() };
            }
            if let Some(variable) = self.variable_inside(&path) {
                return Location::Environment { variable: variable.to_owned() };
            }
            path = path.parent().unwrap_or_default();
            part = Part::Key;
        }
    }

    fn knows(&self, path: &KeyPath) -> bool {
        self.document.key(path).is_some() || self.variable(path).is_some()
    }

    /// The variable that set the value at `path` or something around it.
    fn variable(&self, path: &KeyPath) -> Option<&str> {
        let mut around = Some(path.clone());
        while let Some(path) = around {
            if let Some(variable) = self.variables.get(&path) {
                return Some(variable);
            }
            around = path.parent();
        }
        None
    }

    fn variable_inside(&self, path: &KeyPath) -> Option<&str> {
        let mut inside = self.variables.iter().filter(|(set, _)| set.is_within(path));
        inside.next().map(|(_, variable)| variable.as_str())
    }
}

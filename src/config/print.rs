//! The effective configuration as text. Owns the layout of `check --print`; secrets are already
//! redacted by their own type.

use std::collections::BTreeMap;

use super::document::Document;
use super::origins::Origins;
use super::path::KeyPath;
use super::settings::Settings;

/// Comments begin in this column, in characters, unless the value is longer.
const COMMENT_COLUMN: usize = 44;

/// Every key that has a value, one a line, with its origin as a comment.
///
/// # Errors
/// When a value cannot be written as TOML, which no value that was read can cause.
pub(crate) fn print(settings: &Settings, origins: &Origins) -> Result<String, String> {
    let text = toml::to_string(settings).map_err(|error| error.to_string())?;
    let document = Document::parse("", text.as_str()).map_err(|error| error.to_string())?;
    let keys: BTreeMap<usize, &KeyPath> = document.keys_at_line_starts();
    let lines = text.lines().enumerate().map(|(index, line)| {
        // A table's header has no origin of its own, nor has the rest of a text of many lines.
        let key = keys.get(&(index + 1)).filter(|_| !line.starts_with('['));
        match key {
            Some(path) => format!("{line:<COMMENT_COLUMN$} # {}\n", origins.origin(path)),
            None => format!("{line}\n"),
        }
    });
    Ok(lines.collect())
}

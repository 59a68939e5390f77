//! The effective configuration as text. Owns the layout of `check --print`; secrets are already
//! redacted by their own type.

use std::collections::BTreeMap;
use std::fmt::Write as _;

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
    let lines: Vec<&str> = text.lines().collect();
    // A table that holds only tables, or nothing at all, and the empty line below it.
    let is_hollow = |index: usize| {
        let below = lines.get(index + 1).copied().unwrap_or_default();
        lines[index].starts_with('[') && below.is_empty()
    };
    let mut printed = String::new();
    for (index, line) in lines.iter().enumerate() {
        if is_hollow(index) || (line.is_empty() && index > 0 && is_hollow(index - 1)) {
            continue;
        }
        let origin = match keys.get(&(index + 1)) {
            Some(path) if !line.starts_with('[') => Some(origins.origin(path)),
            // A table's header has no origin of its own, nor has the rest of a text of many lines.
            _ => None,
        };
        let written = match origin {
            Some(origin) => writeln!(printed, "{line:<COMMENT_COLUMN$} # {origin}"),
            None => writeln!(printed, "{line}"),
        };
        written.map_err(|error| error.to_string())?;
    }
    Ok(printed)
}

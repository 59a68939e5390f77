//! Reads the newest entries from a file, through a connection of its own that can only read: whoever
//! asks never keeps the journal's thread from writing.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::error::JournalError;
use super::ring::newest_first;
use super::rows::{self, Columns};
use super::schema::{self, OpenError};
use super::trouble;
use crate::model::journal::{GuardRecord, GuardWord};
use crate::model::{ComponentId, IncidentId, JournalEntry, JournalKind, JournalQuery, Timestamp};

/// A component of which there is no report among so many of the newest has none: reports have no
/// index, which would double the file.
const NEWEST_REPORTS: i64 = 200_000;

/// The newest entries in the file at `path` that `query` asks for, the newest first.
///
/// # Errors
/// When the file cannot be read, or was written by another version.
pub fn read_file(path: &Path, query: &JournalQuery) -> Result<Vec<JournalEntry>, JournalError> {
    let read = || {
        let connection = schema::open_to_read(path)?;
        read(&connection, query)
    };
    read().map_err(|error| in_words(error, path))
}

/// Every component that the file at `path` knows, by name.
///
/// # Errors
/// As for [`read_file`].
pub fn components_in(path: &Path) -> Result<Vec<ComponentId>, JournalError> {
    let read = || {
        let connection = schema::open_to_read(path)?;
        let select = "SELECT cluster, component FROM components
                      WHERE component <> '' ORDER BY cluster, component";
        let mut select = connection.prepare(select)?;
        let named = select.query_map([], |row| {
            Ok(ComponentId::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        named.collect::<Result<_, _>>().map_err(ReadError::from)
    };
    read().map_err(|error| in_words(error, path))
}

fn in_words(error: ReadError, path: &Path) -> JournalError {
    let path_text = path.display().to_string();
    match error {
        ReadError::Open(error) => {
            JournalError::Unavailable { path: path_text, why: trouble::words(&error, path) }
        }
        ReadError::Senseless(what) => JournalError::Senseless { path: path_text, what },
    }
}

enum ReadError {
    Open(OpenError),
    Senseless(String),
}

impl<E: Into<OpenError>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Open(error.into())
    }
}

fn read(connection: &Connection, query: &JournalQuery) -> Result<Vec<JournalEntry>, ReadError> {
    let mut found = Vec::new();
    for kind in JournalKind::ALL.into_iter().filter(|kind| query.wants_kind(*kind)) {
        match kind {
            JournalKind::Probe => reports(connection, query, &mut found)?,
            JournalKind::State
            | JournalKind::Decision
            | JournalKind::Action
            | JournalKind::Evidence
            | JournalKind::Alert
            | JournalKind::Delivery
            | JournalKind::Leadership
            | JournalKind::Breaker
            | JournalKind::Reload
            | JournalKind::Scaling => entries(connection, query, kind, &mut found)?,
        }
    }
    Ok(newest_first(found, query.bounded_limit()))
}

/// The id of the component that is asked for: 0, which is none, where the file does not know it;
/// `None` where it does not matter.
fn component_id(connection: &Connection, query: &JournalQuery) -> rusqlite::Result<Option<i64>> {
    let Some(id) = &query.component else { return Ok(None) };
    let find = "SELECT coalesce(max(id), 0) FROM components WHERE cluster = ? AND component = ?";
    connection.query_row(find, [&*id.cluster, &*id.component], |row| row.get(0)).map(Some)
}

fn entries(
    connection: &Connection,
    query: &JournalQuery,
    kind: JournalKind,
    found: &mut Vec<JournalEntry>,
) -> Result<(), ReadError> {
    let component = component_id(connection, query)?;
    let of_component =
        if component.is_some() { "AND e.component_id = ?2" } else { "AND ?2 IS NULL" };
    let select = format!(
        "SELECT e.at, c.cluster, c.component, e.incident, e.id,
                e.key, e.what, e.subject, e.outcome, e.words, e.detail
         FROM entries e JOIN components c ON c.id = e.component_id
         WHERE e.kind = ?1 {of_component} ORDER BY e.at DESC, e.id DESC LIMIT ?3"
    );
    let limit = i64::try_from(query.bounded_limit()).unwrap_or(i64::MAX);
    let mut select = connection.prepare(&select)?;
    let mut rows = select.query(params![kind.as_str(), component, limit])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(4)?;
        let column = |index| row.get::<_, Option<String>>(index).map(|text| text.map(Cow::Owned));
        let columns = Columns {
            key: column(5)?,
            what: column(6)?,
            subject: column(7)?,
            outcome: column(8)?,
            words: column(9)?,
            detail: column(10)?,
        };
        let guards = match kind {
            JournalKind::Decision => guards(connection, id)?,
            _ => Vec::new(),
        };
        let record = columns
            .into_record(kind, guards)
            .map_err(|column| ReadError::Senseless(format!("entries {id}, column {column}")))?;
        found.push(entry(row, record)?);
    }
    Ok(())
}

fn guards(connection: &Connection, entry: i64) -> Result<Vec<GuardRecord>, ReadError> {
    let select = "SELECT guard, verdict, words FROM guards WHERE entry_id = ? ORDER BY position";
    let mut select = connection.prepare_cached(select)?;
    let mut rows = select.query([entry])?;
    let mut guards = Vec::new();
    while let Some(row) = rows.next()? {
        let verdict: String = row.get(1)?;
        let verdict: Option<GuardWord> = rows::word(Some(&verdict));
        let verdict = verdict
            .ok_or_else(|| ReadError::Senseless(format!("guards {entry}, column verdict")))?;
        let guard = row.get::<_, String>(0)?.into();
        guards.push(GuardRecord { guard, verdict, words: row.get::<_, String>(2)?.into() });
    }
    Ok(guards)
}

fn reports(
    connection: &Connection,
    query: &JournalQuery,
    found: &mut Vec<JournalEntry>,
) -> Result<(), ReadError> {
    let select = "SELECT r.at, c.cluster, c.component, NULL, r.id,
                         r.outcome, r.latency_us, w.kind, w.words
                  FROM (SELECT * FROM reports ORDER BY id DESC LIMIT ?1) r
                  JOIN components c ON c.id = r.component_id
                  LEFT JOIN reasons w ON w.id = r.reason_id
                  WHERE ?2 IS NULL OR r.component_id = ?2
                  ORDER BY r.id DESC LIMIT ?3";
    let limit = i64::try_from(query.bounded_limit()).unwrap_or(i64::MAX);
    let mut select = connection.prepare(select)?;
    let component = component_id(connection, query)?;
    let mut rows = select.query(params![NEWEST_REPORTS, component, limit])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(4)?;
        let (kind, words): (Option<String>, Option<String>) = (row.get(7)?, row.get(8)?);
        let record = rows::reason(kind.as_deref(), words.as_deref())
            .and_then(|reason| {
                rows::report(row.get(5).unwrap_or(-1), row.get(6).unwrap_or(-1), reason)
            })
            .map_err(|column| ReadError::Senseless(format!("reports {id}, column {column}")))?;
        found.push(entry(row, record)?);
    }
    Ok(())
}

/// The entry of a row that begins with time, cluster, component and incident.
fn entry(row: &Row<'_>, record: crate::model::JournalRecord) -> rusqlite::Result<JournalEntry> {
    let named = |index| -> rusqlite::Result<Option<Arc<str>>> {
        let name: String = row.get(index)?;
        Ok(Some(name).filter(|name| !name.is_empty()).map(Into::into))
    };
    let incident: Option<String> = row.get(3)?;
    Ok(JournalEntry {
        at: Timestamp::from_millis(row.get::<_, i64>(0)?.try_into().unwrap_or_default()),
        cluster: named(1)?,
        component: named(2)?,
        incident: incident.map(IncidentId::from_text),
        record,
    })
}

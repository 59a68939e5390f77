//! One open file: writes batches into it, each in a transaction of its own, all or nothing.
//!
//! How durable: the file is in WAL mode. A batch of reports is committed with `synchronous = NORMAL`:
//! it survives the end of the process at any instant, and may be lost with the power. Whatever
//! somebody waits for (a flush before an action, the essential state) is committed with `FULL`: the
//! log is on the disk, with all that was committed before, when the commit returns.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::queue::{Changes, State};
use super::rows;
use super::schema::{self, OpenError};
use crate::model::{IncidentId, JournalEntry, JournalRecord, Reason, ReasonKind, Timestamp};

/// More ids than these are not remembered: they are looked up again.
const REMEMBERED_IDS: usize = 10_000;

/// Which file it is, whatever its name.
type Identity = (u64, u64);

/// An open file.
pub(super) struct Store {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: Option<Identity>,
    ids: Ids,
    /// Whether the connection commits with `FULL`.
    is_full: bool,
    /// Whether something was committed with less since.
    is_unsynced: bool,
}

/// What one batch consists of.
pub(super) struct Batch<'a> {
    /// The entries.
    pub(super) entries: &'a [JournalEntry],
    /// Changes of the essential state.
    pub(super) changes: &'a Changes,
    /// Whether it must be on the disk, and not only in the system's memory.
    pub(super) durable: bool,
    /// The time.
    pub(super) now: Timestamp,
}

impl Store {
    /// Opens the file, makes it where there is none, and brings it to this version.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = schema::open(path)?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            identity: identity(path),
            ids: Ids::default(),
            is_full: true,
            is_unsynced: true,
        }
        .with_synchronous(true)?)
    }

    fn with_synchronous(mut self, full: bool) -> rusqlite::Result<Self> {
        self.is_full = !full;
        self.synchronous(full)?;
        Ok(self)
    }

    /// Whether the file still has its name: somebody may have deleted or replaced it. What is written
    /// to it would be gone then.
    pub(super) fn is_in_place(&self) -> bool {
        self.identity.is_some() && identity(&self.path) == self.identity
    }

    /// Everything in the table of the state.
    pub(super) fn state(&self) -> rusqlite::Result<State> {
        let mut saved = self.connection.prepare("SELECT key, value FROM state ORDER BY key")?;
        saved.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Writes a batch.
    pub(super) fn write(&mut self, batch: &Batch<'_>) -> rusqlite::Result<()> {
        let written = self.try_write(batch);
        if written.is_err() {
            // They may be of rows that were not committed.
            self.ids = Ids::default();
        }
        written
    }

    fn try_write(&mut self, batch: &Batch<'_>) -> rusqlite::Result<()> {
        let Batch { entries, changes, durable, now } = *batch;
        let is_empty = entries.is_empty() && changes.is_empty();
        let durable = durable || !changes.is_empty();
        if is_empty && !(durable && self.is_unsynced) {
            return Ok(());
        }
        self.synchronous(durable)?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        for entry in entries {
            self.ids.insert(&transaction, entry)?;
        }
        change_state(&transaction, changes, now)?;
        if is_empty {
            mark_synced(&transaction, now)?;
        }
        transaction.commit()?;
        self.is_unsynced = !durable;
        Ok(())
    }

    fn synchronous(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.is_full != full {
            let how = if full { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", how)?;
            self.is_full = full;
        }
        Ok(())
    }

    /// The ids of reasons and components are looked up again: rows were deleted.
    pub(super) fn forget_ids(&mut self) {
        self.ids = Ids::default();
    }

    /// The size of the file and its log, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        size(&self.path) + size(&beside(&self.path, "-wal"))
    }
}

/// The path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn change_state(
    transaction: &Transaction<'_>,
    changes: &Changes,
    now: Timestamp,
) -> rusqlite::Result<()> {
    for (key, value) in changes {
        match value {
            Some(value) => transaction
                .prepare_cached("INSERT OR REPLACE INTO state (key, value, at) VALUES (?, ?, ?)")?
                .execute(params![key, value, millis(now)])?,
            None => {
                transaction.prepare_cached("DELETE FROM state WHERE key = ?")?.execute([key])?
            }
        };
    }
    Ok(())
}

/// A commit without any change would not reach the disk, nor take along what came before it.
fn mark_synced(transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let mark = "INSERT OR REPLACE INTO marks (name, at) VALUES ('synced', ?)";
    transaction.prepare_cached(mark)?.execute([millis(now)]).map(|_| ())
}

/// As the file has it.
pub(super) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// The ids of components and reasons, as far as they are known.
#[derive(Default)]
struct Ids {
    components: HashMap<Arc<str>, HashMap<Arc<str>, i64>>,
    reasons: HashMap<ReasonKind, HashMap<String, i64>>,
    remembered: usize,
}

impl Ids {
    fn insert(&mut self, into: &Transaction<'_>, entry: &JournalEntry) -> rusqlite::Result<()> {
        let component = self.component(into, entry)?;
        if let JournalRecord::Probe { outcome, latency } = &entry.record {
            let reason = outcome.reason().map(|reason| self.reason(into, reason)).transpose()?;
            let latency = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);
            let insert = "INSERT INTO reports (at, component_id, outcome, latency_us, reason_id)
                          VALUES (?, ?, ?, ?, ?)";
            let number = rows::outcome_number(outcome);
            into.prepare_cached(insert)?.execute(params![
                millis(entry.at),
                component,
                number,
                latency,
                reason
            ])?;
            return Ok(());
        }
        insert_entry(into, entry, component)
    }

    fn component(&mut self, into: &Transaction<'_>, entry: &JournalEntry) -> rusqlite::Result<i64> {
        let cluster = entry.cluster.as_deref().unwrap_or_default();
        let component = entry.component.as_deref().unwrap_or_default();
        let known = self.components.get(cluster).and_then(|known| known.get(component));
        if let Some(id) = known {
            return Ok(*id);
        }
        let insert = "INSERT INTO components (cluster, component) VALUES (?, ?)
                      ON CONFLICT DO NOTHING";
        into.prepare_cached(insert)?.execute([cluster, component])?;
        let find = "SELECT id FROM components WHERE cluster = ? AND component = ?";
        let id = into.prepare_cached(find)?.query_row([cluster, component], |row| row.get(0))?;
        self.remember();
        let (cluster, component) = (entry.cluster.clone(), entry.component.clone());
        let known = self.components.entry(cluster.unwrap_or_default()).or_default();
        known.insert(component.unwrap_or_default(), id);
        Ok(id)
    }

    fn reason(&mut self, into: &Transaction<'_>, reason: &Reason) -> rusqlite::Result<i64> {
        let known = self.reasons.get(&reason.kind).and_then(|known| known.get(&reason.text));
        if let Some(id) = known {
            return Ok(*id);
        }
        let kind = reason.kind.as_str();
        let insert = "INSERT INTO reasons (kind, words) VALUES (?, ?) ON CONFLICT DO NOTHING";
        into.prepare_cached(insert)?.execute([kind, reason.text.as_str()])?;
        let find = "SELECT id FROM reasons WHERE kind = ? AND words = ?";
        let id =
            into.prepare_cached(find)?.query_row([kind, reason.text.as_str()], |row| row.get(0))?;
        self.remember();
        self.reasons.entry(reason.kind).or_default().insert(reason.text.clone(), id);
        Ok(id)
    }

    /// Room for one more.
    fn remember(&mut self) {
        if self.remembered >= REMEMBERED_IDS {
            *self = Self::default();
        }
        self.remembered += 1;
    }
}

fn insert_entry(
    into: &Transaction<'_>,
    entry: &JournalEntry,
    component: i64,
) -> rusqlite::Result<()> {
    let Some(columns) = rows::columns(&entry.record) else { return Ok(()) };
    let insert = "INSERT INTO entries
                  (at, kind, component_id, incident, key, what, subject, outcome, words, detail)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let id = into.prepare_cached(insert)?.insert(params![
        millis(entry.at),
        entry.record.kind().as_str(),
        component,
        entry.incident.as_ref().map(IncidentId::as_str),
        columns.key.as_deref(),
        columns.what.as_deref(),
        columns.subject.as_deref(),
        columns.outcome.as_deref(),
        columns.words.as_deref(),
        columns.detail.as_deref(),
    ])?;
    if let JournalRecord::Decision(decision) = &entry.record {
        let insert = "INSERT INTO guards (entry_id, position, guard, verdict, words)
                      VALUES (?, ?, ?, ?, ?)";
        let mut insert = into.prepare_cached(insert)?;
        for (position, guard) in decision.kept_guards().iter().enumerate() {
            let position = i64::try_from(position).unwrap_or(i64::MAX);
            let (verdict, words) = (guard.verdict.as_str(), &*guard.words);
            insert.execute(params![id, position, &*guard.guard, verdict, words])?;
        }
    }
    Ok(())
}

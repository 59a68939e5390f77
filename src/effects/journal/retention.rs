//! Lets go of what is too old or too much, bit by bit, so that writing never waits for it. When the
//! file is too large, the oldest probe reports go first, then evidence, then what was told and seen,
//! and decisions and actions last. What was let go is given back to the disk.

use rusqlite::Connection;

use super::queue::JournalLimits;
use super::store::millis;
use crate::model::{JournalKind, Timestamp};

/// Rows of reports that go at once; they are small.
const REPORTS: i64 = 5_000;
/// Other rows that go at once: evidence may be large.
const ENTRIES: i64 = 200;
/// A file that was too large is brought down to this share of what it may be, in per cent, so that
/// it is not cut again at once.
const DOWN_TO: u64 = 90;

/// What is being let go.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// What is older goes.
    cutoff: Option<Timestamp>,
    /// Until it has this size, in bytes.
    target: Option<u64>,
    /// Whether it is too large, and nothing is left that could go.
    is_exhausted: bool,
}

impl Retention {
    /// At `now` what is too old goes.
    pub(super) fn begin(&mut self, limits: JournalLimits, now: Timestamp) {
        self.cutoff = Some(now.minus(limits.retention));
        self.is_exhausted = false;
    }

    /// Looks whether the file has become too large.
    pub(super) fn look(
        &mut self,
        connection: &Connection,
        limits: JournalLimits,
    ) -> rusqlite::Result<()> {
        if self.target.is_none() && !self.is_exhausted && used_bytes(connection)? > limits.max_bytes
        {
            self.target = Some(limits.max_bytes / 100 * DOWN_TO);
        }
        Ok(())
    }

    /// Whether there is more to let go.
    pub(super) fn is_due(&self) -> bool {
        self.cutoff.is_some() || self.target.is_some()
    }

    /// Lets go of one bit. Gives whether rows are gone whose ids may be known.
    pub(super) fn step(&mut self, connection: &mut Connection) -> rusqlite::Result<bool> {
        if let Some(cutoff) = self.cutoff {
            if !drop_older(connection, cutoff)? {
                self.cutoff = None;
                tidy(connection)?;
                return Ok(true);
            }
        } else if let Some(target) = self.target {
            let is_small = used_bytes(connection)? <= target;
            if is_small || !drop_least(connection)? {
                (self.target, self.is_exhausted) = (None, !is_small);
                tidy(connection)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether there may be more.
fn drop_older(connection: &mut Connection, cutoff: Timestamp) -> rusqlite::Result<bool> {
    let deleted = |table: &str, rows: i64| -> rusqlite::Result<bool> {
        let delete = format!(
            "DELETE FROM {table} WHERE at < ?1
             AND id IN (SELECT id FROM {table} ORDER BY id LIMIT ?2)"
        );
        let count = connection.prepare_cached(&delete)?.execute([millis(cutoff), rows])?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX) >= rows)
    };
    Ok(deleted("reports", REPORTS)? | deleted("entries", ENTRIES)?)
}

/// Lets go of some of the least valuable, the oldest first. Whether there were any.
fn drop_least(connection: &mut Connection) -> rusqlite::Result<bool> {
    let reports = "DELETE FROM reports WHERE id IN (SELECT id FROM reports ORDER BY id LIMIT ?)";
    if connection.prepare_cached(reports)?.execute([REPORTS])? > 0 {
        return Ok(true);
    }
    // Reasons of reports that are gone.
    drop_unused_reasons(connection)?;
    for rank in 0..=JournalKind::LAST_RANK {
        let kinds = JournalKind::ALL.iter().filter(|kind| kind.rank() == rank);
        let names: Vec<String> = kinds.map(|kind| format!("'{}'", kind.as_str())).collect();
        let delete = format!(
            "DELETE FROM entries WHERE id IN
             (SELECT id FROM entries WHERE kind IN ({}) ORDER BY id LIMIT ?)",
            names.join(", ")
        );
        if connection.prepare_cached(&delete)?.execute([ENTRIES])? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn drop_unused_reasons(connection: &Connection) -> rusqlite::Result<()> {
    let unused = "DELETE FROM reasons WHERE id NOT IN
                  (SELECT reason_id FROM reports WHERE reason_id IS NOT NULL)";
    connection.prepare_cached(unused)?.execute([]).map(|_| ())
}

/// Gives what is free back to the disk.
fn tidy(connection: &Connection) -> rusqlite::Result<()> {
    drop_unused_reasons(connection)?;
    // A pragma frees one page with each step: it must be asked until it says no more.
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    drop(steps);
    // A reader may hold the log; then it is carried over later.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// What the file would take without its free pages, in bytes.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(pages.saturating_mul(number("page_size")?).try_into().unwrap_or_default())
}

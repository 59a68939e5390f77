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
/// Reasons of reports that are gone go after so many steps: finding them takes a look at all.
const REASONS_EVERY: u32 = 8;
/// Pages that are given back to the disk at once.
const PAGES: u32 = 1_000;
/// What is free serves for what comes next, unless it is such a share of the file, in per cent.
const WORTH_SHRINKING: u64 = 5;
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
    /// Steps so far, on the way to the target.
    steps: u32,
    /// Whether what is free is being given back to the disk.
    is_shrinking: bool,
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
        self.cutoff.is_some() || self.target.is_some() || self.is_shrinking
    }

    /// Lets go of one bit. Gives whether reasons may be gone whose ids are known.
    pub(super) fn step(&mut self, connection: &mut Connection) -> rusqlite::Result<bool> {
        if let Some(cutoff) = self.cutoff {
            if !drop_older(connection, cutoff)? {
                self.cutoff = None;
                drop_unused_reasons(connection)?;
                self.is_shrinking |= free_share(connection)? >= WORTH_SHRINKING;
                return Ok(true);
            }
        } else if let Some(target) = self.target {
            self.steps = self.steps.wrapping_add(1);
            if self.steps.is_multiple_of(REASONS_EVERY) {
                drop_unused_reasons(connection)?;
            }
            let is_small = used_bytes(connection)? <= target;
            if is_small || !drop_least(connection)? {
                (self.target, self.is_exhausted, self.is_shrinking) = (None, !is_small, true);
                drop_unused_reasons(connection)?;
            }
            return Ok(true);
        } else {
            self.is_shrinking = shrink(connection)?;
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

/// Gives some of what is free back to the disk. Whether there is more.
fn shrink(connection: &Connection) -> rusqlite::Result<bool> {
    // The pragma frees one page with each step: it must be asked until it says no more.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    drop(steps);
    if number(connection, "freelist_count")? > 0 {
        return Ok(true);
    }
    // A reader may hold the log; then it is carried over later.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(false)
}

/// The share of the file that is free, in per cent.
fn free_share(connection: &Connection) -> rusqlite::Result<u64> {
    let pages = number(connection, "page_count")?.max(1);
    Ok(number(connection, "freelist_count")?.saturating_mul(100) / pages)
}

/// What the file would take without its free pages, in bytes.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pages = number(connection, "page_count")?;
    let pages = pages.saturating_sub(number(connection, "freelist_count")?);
    Ok(pages.saturating_mul(number(connection, "page_size")?))
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let number = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))?;
    Ok(number.try_into().unwrap_or_default())
}

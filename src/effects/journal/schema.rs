//! The form of the file: its version, the steps from each version to the next, and how a connection
//! to it is set up. Never touches a file that another program or a newer falconer has written.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::store::beside;

/// What SQLite's header says of who made the file: `falc`.
const APPLICATION: i32 = 0x6661_6c63;

/// Leads from each version to the next: the first one makes version 1 of an empty file. What was
/// released is never changed, only added to.
const STEPS: [&str; 2] = [include_str!("schema/v1.sql"), include_str!("schema/v2.sql")];

/// For people with `sqlite3`; made anew with each version.
const VIEWS: &str = include_str!("schema/views.sql");

/// The version that this falconer writes.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// How long a lock of another process is waited for. The thread that waits is the journal's own.
const BUSY: Duration = Duration::from_secs(2);

/// How much of the file is kept in memory, in KiB (which SQLite wants to see negative): it is appended
/// to, and hardly read.
const CACHE: i32 = -512;

/// The write-ahead log is cut to this size whenever it has been carried over, in bytes.
const LOG_LIMIT: u32 = 8 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// SQLite or the system.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Written by a later version.
    #[error(
        "it was written by a newer falconer: its schema is version {found}, and this falconer \
         knows versions up to {VERSION}"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Not written by falconer at all.
    #[error("it is the database of another program")]
    Foreign,
    /// It is another process's to write.
    #[error("another falconer ({who}) writes this journal")]
    Held {
        /// What is known of it.
        who: String,
    },
    /// To be read without being changed, and in an older form.
    #[error("its schema is version {found}, which only a falconer that runs brings to {VERSION}")]
    Older {
        /// Its version.
        found: u32,
    },
}

/// Opens the file for writing, makes it where there is none, and brings it to this version.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let found = version_of(&connection)?;
    // Holds for a file that is empty so far: lets it become smaller later.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    if found < VERSION {
        migrate(&mut connection, found)?;
    }
    Ok(connection)
}

/// Opens the file for reading only.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let read = |file: &Path, more: OpenFlags| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(BUSY)?;
        version_of(&connection).map(|found| (connection, found))
    };
    let (connection, found) = match read(path, OpenFlags::empty()) {
        Err(OpenError::Sqlite(error)) if lies_still(path, &error) => {
            read(&immutable(path), OpenFlags::SQLITE_OPEN_URI)?
        }
        other => other?,
    };
    if found == VERSION { Ok(connection) } else { Err(OpenError::Older { found }) }
}

/// Whether the file cannot be opened only because nothing can be written beside it, and has no log
/// that would be overlooked: a copy on a read-only disk, say.
fn lies_still(path: &Path, error: &rusqlite::Error) -> bool {
    let is_refused = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    );
    is_refused && path.is_file() && !beside(path, "-wal").exists()
}

/// The file's URI that says that nobody changes it.
fn immutable(path: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => {
                // Writing into a String cannot fail.
                let _infallible = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri.push_str("?immutable=1");
    PathBuf::from(uri)
}

/// The version of a file that may be used.
fn version_of(connection: &Connection) -> Result<u32, OpenError> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (version, application) = (number("user_version")?, number("application_id")?);
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if objects > 0 && application != APPLICATION {
        return Err(OpenError::Foreign);
    }
    let found = u32::try_from(version).unwrap_or(u32::MAX);
    if found > VERSION { Err(OpenError::Newer { found }) } else { Ok(found) }
}

/// All steps in one transaction: a file is never in between.
fn migrate(connection: &mut Connection, found: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again, now that nobody else can be at it.
    let found = step.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap_or(found);
    drop_views(&step)?;
    for script in STEPS.iter().skip(found as usize) {
        step.execute_batch(script)?;
    }
    step.execute_batch(VIEWS)?;
    step.pragma_update(None, "application_id", APPLICATION)?;
    step.pragma_update(None, "user_version", VERSION)?;
    step.commit()
}

fn drop_views(connection: &Connection) -> rusqlite::Result<()> {
    let mut named =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")?;
    let names: Vec<String> = named.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    drop(named);
    for name in names {
        connection.execute_batch(&format!("DROP VIEW \"{}\"", name.replace('"', "\"\"")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> Vec<String> {
        let mut named = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
            .unwrap();
        let rows = named.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_file_of_the_first_version_is_brought_to_this_one_with_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(STEPS[0]).unwrap();
        old.execute_batch(
            "CREATE VIEW obsolete AS SELECT * FROM entries;
             INSERT INTO components VALUES (7, 'a', 'proxy');
             INSERT INTO entries (at, kind, component_id, outcome, what, words)
             VALUES (1767225600042, 'decision', 7, 'refuse', 'rollout_restart', 'cooldown');
             INSERT INTO guards VALUES (1, 0, 'cooldown', 'wait', '12 s of 300 s');",
        )
        .unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);

        let migrated = open(&path).unwrap();
        let row: (String, String, String) = migrated
            .query_row("SELECT time, decision, guards FROM decisions_readable", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(row.0, "2026-01-01T00:00:00.042Z");
        assert_eq!((row.1.as_str(), row.2.as_str()), ("refuse", "cooldown: wait (12 s of 300 s)"));
        let fresh = open(&folder.path().join("new.db")).unwrap();
        // A column that was added later stands at the end of the statement that made the table.
        assert_eq!(schema(&migrated), schema(&fresh));
        assert_eq!(version_of(&migrated).unwrap(), VERSION);
        drop(migrated);
        assert_eq!(version_of(&open(&path).unwrap()).unwrap(), VERSION);
    }

    #[test]
    fn a_file_that_nobody_changes_is_named_with_its_odd_letters() {
        let uri = immutable(Path::new("/var/a b?#%/f.db"));
        assert_eq!(uri, Path::new("file:/var/a%20b%3F%23%25/f.db?immutable=1"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a?b.db");
        drop(open(&path).unwrap());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(immutable(&path), flags).unwrap();
        assert_eq!(version_of(&connection).unwrap(), VERSION);
    }

    #[test]
    fn what_a_newer_falconer_or_another_program_wrote_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("newer.db");
        open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(open(&path), Err(OpenError::Newer { found: 9 })));
        assert_eq!(std::fs::read(&path).unwrap(), before);

        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(matches!(open(&foreign), Err(OpenError::Foreign)));
    }
}

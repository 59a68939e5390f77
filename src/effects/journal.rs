//! The journal and the essential state, in an SQLite file or in memory. Owns when what is written,
//! how durably, and what happens where it cannot be; never decides what is worth writing down.

mod error;
mod health;
mod lock;
mod memory;
mod queries;
mod queue;
mod retention;
mod ring;
mod rows;
mod schema;
mod sqlite;
mod store;
#[cfg(test)]
mod tests;
mod trouble;
mod writer;

pub use error::{JournalError, StateError};
pub use health::{JournalHealth, JournalTrouble, MovedAside};
pub use memory::MemoryJournal;
pub use queries::{components_in, read_file};
use queue::Changes;
pub use queue::JournalLimits;
pub use sqlite::{SqliteJournal, SqliteSettings};
pub use trouble::obstacle;

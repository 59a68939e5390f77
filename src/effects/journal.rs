//! The journal and the essential state, in an SQLite file or in memory. Owns when what is written,
//! how durably, and what happens where it cannot be; never decides what is worth writing down.

mod error;
mod health;
mod memory;
mod ring;

pub use error::{JournalError, StateError};
pub use health::{JournalHealth, JournalTrouble};
pub use memory::MemoryJournal;

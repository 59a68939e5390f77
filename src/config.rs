//! Configuration: `actors.toml` and the environment, typed, validated, with the origin of every
//! value. Owns reading and judging; never starts anything.

pub mod secret;
pub mod settings;
pub mod values;

pub use secret::{Secret, SecretError, SecretFile};
pub use settings::Settings;
pub use values::{ByteSize, HumanDuration};

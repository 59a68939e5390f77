//! How many descriptors this process may have open, and whether an error is due to that. Owns no
//! descriptor.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limits of `RLIMIT_NOFILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// What holds now.
    pub soft: u64,
    /// What an unprivileged process can raise it to.
    pub hard: u64,
}

/// The present limits.
///
/// # Errors
/// When the system does not say.
pub fn limit() -> io::Result<DescriptorLimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(DescriptorLimit { soft, hard })
}

/// Raises the soft limit to the hard one, as every probe under way needs a descriptor. What falconer
/// starts inherits it.
///
/// # Errors
/// When the system does not let us; the old limit holds.
pub fn raise_limit() -> io::Result<DescriptorLimit> {
    let before = limit()?;
    if before.soft < before.hard {
        setrlimit(Resource::RLIMIT_NOFILE, before.hard, before.hard)?;
    }
    limit()
}

/// Whether `error` is due to this process or this machine and says nothing of the far side: no
/// descriptors (`EMFILE`, `ENFILE`), no memory (`ENOMEM`, `ENOBUFS`).
pub fn is_own_limit(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
        matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS)
    })
}

/// Whether no descriptor is left at this moment. Opens and closes one.
pub fn are_exhausted() -> bool {
    File::open("/dev/null").is_err_and(|error| is_own_limit(&error))
}

//! Two real processes.

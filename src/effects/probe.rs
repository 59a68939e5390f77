//! The kinds of probes.

//! The essential state, which survives that falconer is killed, as plain data: small texts by key,
//! such as `breaker/<cluster>`.

use std::collections::BTreeMap;

/// Everything that is kept.
pub type StoredState = BTreeMap<String, String>;

/// What has become different; `None` removes a key.
pub type StateChanges = BTreeMap<String, Option<String>>;

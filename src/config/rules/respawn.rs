//! The rules of `backoff` and `respawn`, wherever they stand.

use std::time::Duration;

use super::{Judge, LONGEST_INTERVAL};
use crate::config::path::KeyPath;
use crate::config::settings::{BackoffSettings, RespawnLimit};

/// An actor that is made anew more often than this does nothing else.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

pub(super) fn backoff(judge: &mut Judge<'_>, path: &KeyPath, backoff: &BackoffSettings) {
    judge.duration(&path.key("initial"), backoff.initial, SHORTEST_DELAY, LONGEST_INTERVAL);
    judge.duration(&path.key("max"), backoff.max, SHORTEST_DELAY, LONGEST_INTERVAL);
    judge.number(&path.key("factor"), backoff.factor, 1.0, 1_000.0);
    judge.number(&path.key("jitter"), backoff.jitter, 0.0, 1.0);
    if backoff.initial > backoff.max {
        let (initial, max) = (backoff.initial, backoff.max);
        judge.value(&path.key("initial"), format!("must not exceed \"max\": {initial} > {max}"));
    }
}

pub(super) fn limit(judge: &mut Judge<'_>, path: &KeyPath, limit: RespawnLimit) {
    judge.number(&path.key("burst"), limit.burst, 0, 10_000);
    judge.duration(&path.key("per"), limit.per, Duration::from_secs(1), LONGEST_INTERVAL);
}

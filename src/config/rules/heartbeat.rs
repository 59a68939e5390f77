//! The rules of `[heartbeat]`.

use std::time::Duration;

use super::{Judge, LONGEST_INTERVAL};
use crate::config::path::KeyPath;
use crate::config::settings::HeartbeatSettings;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let HeartbeatSettings { url, url_file, interval, timeout, fail_suffix, .. } =
        &judge.settings.heartbeat;
    let path = KeyPath::of(&["heartbeat"]);
    if !url.is_empty() {
        judge.url(&path.key("url"), url, &["http", "https"]);
    }
    if !url.is_empty() && url_file.is_set() {
        judge.value(&path.key("url_file"), "cannot be combined with \"url\"");
    }
    judge.duration(&path.key("interval"), *interval, Duration::from_secs(1), LONGEST_INTERVAL);
    let shortest = Duration::from_millis(1);
    judge.duration(&path.key("timeout"), *timeout, shortest, Duration::from_mins(1));
    let is_path = fail_suffix.is_empty() || fail_suffix.starts_with('/');
    if !is_path || fail_suffix.contains(['?', '#', ' ']) {
        judge.value(&path.key("fail_suffix"), "must be a path, e.g. \"/fail\"");
    }
}

//! The rules of `[supervisor]` and the small tables.

use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::{Judge, LONGEST_INTERVAL, LONGEST_TIMEOUT, recoverer, respawn, scaler};
use crate::config::path::KeyPath;
use crate::config::values::ByteSize;
use crate::config::wording::did_you_mean;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
/// Renewals must have time to fail, and the Lease counts in whole seconds.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);
/// Kubernetes takes longer ones, but not everywhere.
const LONGEST_LEASE_NAME: usize = 63;
/// The longest that anything is kept or counted.
pub(super) const LONGEST_MEMORY: Duration = Duration::from_hours(10 * 365 * 24);
/// A journal that is smaller would forget what it is for.
const SMALLEST_JOURNAL: ByteSize = ByteSize::from_bytes(1 << 20);
/// What SQLite can keep is more; this is a slip of the keyboard.
const LARGEST_JOURNAL: ByteSize = ByteSize::from_bytes(1 << 40);
pub(super) fn judge(judge: &mut Judge<'_>) {
    recoverer::judge(judge);
    scaler::judge(judge);
    supervisor(judge);
    telemetry(judge);
    let settings = judge.settings;
    let recorder = KeyPath::of(&["recorder"]);
    let retention = recorder.key("retention");
    judge.duration(&retention, settings.recorder.retention, SECOND, LONGEST_MEMORY);
    judge.number(
        &recorder.key("max_size"),
        settings.recorder.max_size,
        SMALLEST_JOURNAL,
        LARGEST_JOURNAL,
    );
    let election = KeyPath::of(&["leader_election"]);
    let lease = settings.leader_election.lease_duration;
    judge.duration(&election.key("lease_duration"), lease, SHORTEST_LEASE, LONGEST_TIMEOUT);
    let name = &settings.leader_election.lease_name;
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let valid = name.len() <= LONGEST_LEASE_NAME
        && name.chars().all(known)
        && name.starts_with(is_edge)
        && name.ends_with(is_edge);
    if !valid {
        let rule = "lower-case letters, digits and \"-\" inside, at most 63";
        judge.value(
            &election.key("lease_name"),
            format!("cannot be {name:?}: Kubernetes takes {rule}"),
        );
    }
    let signals = KeyPath::of(&["anomaly", "signals"]);
    judge
        .unique(&signals, &settings.anomaly.signals, |signal| format!("{signal:?}").to_lowercase());
}

fn supervisor(judge: &mut Judge<'_>) {
    let supervisor = &judge.settings.supervisor;
    let path = KeyPath::of(&["supervisor"]);
    judge.duration(&path.key("flap_window"), supervisor.flap_window, SECOND, LONGEST_INTERVAL);
    judge.number(&path.key("flap_threshold"), supervisor.flap_threshold, 1, 1_000);
    let grace = supervisor.startup_grace;
    judge.duration(&path.key("startup_grace"), grace, Duration::ZERO, LONGEST_INTERVAL);
    let hung = supervisor.hung_pod_after;
    judge.duration(&path.key("hung_pod_after"), hung, Duration::from_mins(1), LONGEST_INTERVAL);
    let drain = supervisor.drain_timeout;
    judge.duration(&path.key("drain_timeout"), drain, MILLISECOND, LONGEST_TIMEOUT);
    respawn::backoff(judge, &path.key("backoff"), &supervisor.backoff);
    respawn::limit(judge, &path.key("respawn"), supervisor.respawn);
}

fn telemetry(judge: &mut Judge<'_>) {
    let telemetry = &judge.settings.telemetry;
    let path = KeyPath::of(&["telemetry"]);
    if !telemetry.otlp_endpoint.is_empty() {
        judge.url(&path.key("otlp_endpoint"), &telemetry.otlp_endpoint, &["http", "https"]);
    }
    for directive in telemetry.log_level.split(',') {
        let level = directive.rsplit('=').next().unwrap_or_default().trim();
        if level.parse::<LevelFilter>().is_err() || level.is_empty() {
            let hint = did_you_mean(level, ["trace", "debug", "info", "warn", "error", "off"]);
            judge.value(
                &path.key("log_level"),
                format!(
                    "must be a level such as \"info\", or directives such as \
                     \"info,falconer=debug\"; {level:?} is no level{hint}"
                ),
            );
        }
    }
}

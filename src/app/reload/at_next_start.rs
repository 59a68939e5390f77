//! Which differences between two configurations cannot take effect while falconer runs.

use crate::config::Settings;
use crate::config::settings::{LeaderElectionSettings, TelemetrySettings};

/// One line for each difference between what falconer was started with and `settings`.
pub fn at_next_start(started: &Settings, settings: &Settings) -> Vec<String> {
    let TelemetrySettings { log_format, log_level, otlp_endpoint } = &settings.telemetry;
    let LeaderElectionSettings { enabled, lease_name, lease_duration } = &settings.leader_election;
    let election = &started.leader_election;
    let differences = [
        ("[recorder] path", started.recorder.path != settings.recorder.path),
        ("[server] listen", started.server.listen != settings.server.listen),
        ("[leader_election] enabled", election.enabled != *enabled),
        ("[leader_election] lease_name", election.lease_name != *lease_name),
        ("[leader_election] lease_duration", election.lease_duration != *lease_duration),
        ("[telemetry] log_format", started.telemetry.log_format != *log_format),
        ("[telemetry] log_level", started.telemetry.log_level != *log_level),
        ("[telemetry] otlp_endpoint", started.telemetry.otlp_endpoint != *otlp_endpoint),
    ];
    let differing = differences.into_iter().filter(|(_, differs)| *differs);
    differing
        .map(|(key, _)| format!("{key} has changed: takes effect at the next start of falconer"))
        .collect()
}

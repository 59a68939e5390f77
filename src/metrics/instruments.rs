//! The counters and histograms, and how series are labelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use opentelemetry::{KeyValue, StringValue};

use super::alerts::AlertInstruments;
use super::delivery::DeliveryInstruments;
use super::heartbeat::HeartbeatInstruments;
use super::journal::JournalInstruments;
use super::leadership::LeadershipInstruments;
use super::receivers::ReceiverInstruments;
use super::recovery::RecoveryInstruments;
use super::state::StateInstruments;
use crate::model::ComponentId;

/// The name of the one meter.
pub(super) const METER_NAME: &str = "falconer";

/// Upper bounds of the buckets for probes and queries, in seconds: from a local answer to the
/// longest time-out that makes sense.
const LATENCY_BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Which labels name a component. Clones are one and the same.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    /// Whether the reference's families also carry `cluster`: only with several clusters.
    cluster_label: Arc<AtomicBool>,
}

impl Naming {
    /// With `cluster` in the reference's families, or without.
    pub(super) fn new(cluster_label: bool) -> Self {
        Self { cluster_label: Arc::new(AtomicBool::new(cluster_label)) }
    }

    /// As [`Naming::new`], from now on.
    pub(super) fn tell_clusters_apart(&self, apart: bool) {
        self.cluster_label.store(apart, Ordering::Relaxed);
    }

    /// Whether the reference's families carry `cluster`.
    pub(super) fn are_clusters_apart(&self) -> bool {
        self.cluster_label.load(Ordering::Relaxed)
    }

    /// The labels of the reference's families: `own`, and `cluster` with several clusters.
    pub(super) fn reference(
        &self,
        id: &ComponentId,
        own: impl IntoIterator<Item = KeyValue>,
    ) -> Vec<KeyValue> {
        let cluster = self.are_clusters_apart().then(|| Self::cluster(id));
        own.into_iter().chain(cluster).collect()
    }

    /// The labels of falconer's own families: always `cluster` and `component`.
    pub(super) fn own(id: &ComponentId) -> Vec<KeyValue> {
        vec![Self::cluster(id), Self::component(id)]
    }

    /// The label `component`.
    pub(super) fn component(id: &ComponentId) -> KeyValue {
        KeyValue::new("component", StringValue::from(id.component.clone()))
    }

    fn cluster(id: &ComponentId) -> KeyValue {
        KeyValue::new("cluster", StringValue::from(id.cluster.clone()))
    }
}

/// Everything that counts or measures as it happens.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) query_latency: Histogram<f64>,
    pub(super) queries: Counter<u64>,
    pub(super) probe_duration: Histogram<f64>,
    pub(super) probes: Counter<u64>,
    pub(super) probe_failures: Counter<u64>,
    pub(super) probes_paced: Counter<u64>,
    pub(super) open_circuits: UpDownCounter<i64>,
    pub(super) circuit_openings: Counter<u64>,
    pub(super) respawns: Counter<u64>,
    pub(super) given_up: Counter<u64>,
    pub(super) alerts: Counter<u64>,
    pub(super) actions: Counter<u64>,
    pub(super) reconfigured: Counter<u64>,
    pub(super) reloads: Counter<u64>,
    pub(super) reload_successful: Gauge<u64>,
    pub(super) reload_succeeded_at: Gauge<f64>,
    pub(super) delivery: DeliveryInstruments,
    pub(super) receivers: ReceiverInstruments,
    pub(super) heartbeat: HeartbeatInstruments,
    pub(super) journal: JournalInstruments,
    pub(super) leadership: LeadershipInstruments,
    pub(super) recovery: RecoveryInstruments,
    pub(super) state: StateInstruments,
    pub(super) people: AlertInstruments,
}

impl Instruments {
    /// Makes them known to `meter`.
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name, help| meter.u64_counter(name).with_description(help).build();
        let histogram = |name, help| {
            meter
                .f64_histogram(name)
                .with_description(help)
                .with_boundaries(LATENCY_BOUNDS.to_vec())
                .build()
        };
        Self {
            query_latency: histogram(
                "milvus_query_latency_seconds",
                "Latency of successful canary queries",
            ),
            queries: counter("milvus_query_total", "Canary queries by how they ended"),
            probe_duration: histogram("falconer_probe_duration_seconds", "How long probes took"),
            probes: counter("falconer_probes_total", "Probes by their verdict"),
            probe_failures: counter("falconer_probe_failures_total", "Failed probes by reason"),
            probes_paced: counter(
                "falconer_probes_paced_total",
                "Probes that had to wait because too many were due at once",
            ),
            open_circuits: meter
                .i64_up_down_counter("falconer_open_circuits")
                .with_description("Outside parties that do not answer and are asked less often")
                .build(),
            circuit_openings: counter(
                "falconer_circuit_openings_total",
                "How often an outside party stopped answering",
            ),
            respawns: counter("falconer_actor_respawns_total", "Actors made anew after they ended"),
            given_up: counter(
                "falconer_commands_given_up_total",
                "Commands given up because handling them made their actor end twice",
            ),
            alerts: counter("falconer_alerts_total", "Messages to people by how they fared"),
            actions: counter(
                "falconer_actions_total",
                "Restarts and changes of replicas by how they ended",
            ),
            reconfigured: counter(
                "falconer_actors_reconfigured_total",
                "Actors that a changed configuration touched",
            ),
            reloads: counter(
                "falconer_config_reloads_total",
                "Readings of the configuration while falconer runs, by how they ended",
            ),
            reload_successful: meter
                .u64_gauge("falconer_config_last_reload_successful")
                .with_description("Whether the newest reading of the configuration found no fault")
                .build(),
            reload_succeeded_at: meter
                .f64_gauge("falconer_config_last_reload_success_timestamp_seconds")
                .with_description("When the configuration was last read without a fault")
                .build(),
            delivery: DeliveryInstruments::new(meter, &LATENCY_BOUNDS),
            receivers: ReceiverInstruments::new(meter),
            heartbeat: HeartbeatInstruments::new(meter),
            journal: JournalInstruments::new(meter),
            leadership: LeadershipInstruments::new(meter),
            recovery: RecoveryInstruments::new(meter),
            state: StateInstruments::new(meter),
            people: AlertInstruments::new(meter),
        }
    }
}

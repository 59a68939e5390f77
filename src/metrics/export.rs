//! How the instruments leave the process: a Prometheus page on request, and OTLP push where an
//! endpoint is configured. A collector that does not answer disturbs nothing but itself.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_otlp::{MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{
    Instrument, PeriodicReader, SdkMeterProvider, Stream, Temporality,
};
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::gauges::{self, GaugesPage};
use super::instruments::METER_NAME;
use super::pieces::Pieces;
use crate::clock::Clock;
use crate::model::{HealthState, Timestamp};

/// So many components have series of their own; those of any more are folded into one.
const MAX_COMPONENTS: usize = 14_000;
/// Most series of a family that does not name components.
const MAX_SERIES: usize = 1_000;
/// Deadline of one push.
const PUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// A failing push is logged at most this often.
const PUSH_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How metrics are exported.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsSettings {
    /// Whether the reference's families carry a `cluster` label; set it with several clusters.
    pub cluster_label: bool,
    /// The OTLP gRPC endpoint, e.g. `http://collector:4317`; `None` pushes nothing.
    pub otlp_endpoint: Option<String>,
    /// The time between two pushes.
    pub otlp_interval: Duration,
    /// When falconer started, for `falconer_start_time_seconds`.
    pub started_at: Timestamp,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            cluster_label: false,
            otlp_endpoint: None,
            otlp_interval: Duration::from_secs(30),
            started_at: Timestamp::default(),
        }
    }
}

/// Why the metrics cannot be exported as configured.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The Prometheus side could not be built.
    #[error("cannot set up the Prometheus registry: {0}")]
    Registry(String),
    /// The OTLP side could not be built: mostly an endpoint that is no URL.
    #[error("cannot push metrics to {endpoint}: {message}; mend [telemetry] otlp_endpoint")]
    Otlp {
        /// The configured endpoint.
        endpoint: String,
        /// What is wrong with it.
        message: String,
    },
    /// The thread that pushes could not be started.
    #[error("cannot start the thread that pushes metrics: {0}")]
    Thread(#[source] io::Error),
    /// The page could not be written.
    #[error("cannot write the metrics page: {0}")]
    Encode(String),
}

/// Serves what the instruments hold. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetricsRegistry {
    registry: Registry,
    provider: SdkMeterProvider,
    gauges: GaugesPage,
    pushes: Option<Arc<PushRuntime>>,
}

impl MetricsRegistry {
    pub(super) fn new(
        settings: &MetricsSettings,
        gauges: GaugesPage,
    ) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let page = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .without_units()
            .without_counter_suffixes()
            .scope_info_enabled(false)
            .build()
            .map_err(|error| MetricsError::Registry(error.to_string()))?;
        let mut builder = SdkMeterProvider::builder()
            .with_resource(Resource::builder_empty().with_service_name(METER_NAME).build())
            .with_view(|instrument: &Instrument| {
                let series = max_series(instrument.name());
                Stream::builder().with_cardinality_limit(series).build().ok()
            })
            .with_reader(page);
        let mut pushes = None;
        if let Some(endpoint) = &settings.otlp_endpoint {
            let (runtime, exporter) = PushRuntime::start(endpoint)?;
            let reader =
                PeriodicReader::builder(exporter).with_interval(settings.otlp_interval).build();
            builder = builder.with_reader(reader);
            pushes = Some(Arc::new(runtime));
        }
        Ok(Self { registry, provider: builder.build(), gauges, pushes })
    }

    /// Whether there is an endpoint to push to.
    pub(super) fn pushes(&self) -> bool {
        self.pushes.is_some()
    }

    pub(super) fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }

    /// The whole page in Prometheus' text format, in pieces.
    ///
    /// # Errors
    /// When the page cannot be written; never because of a slow or absent collector.
    pub fn pieces(&self) -> Result<Vec<Bytes>, MetricsError> {
        let mut page = Pieces::default();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .map_err(|error| MetricsError::Encode(error.to_string()))?;
        // Where they are pushed they came through the exporter.
        if !self.pushes() {
            self.gauges
                .write(&mut page)
                .map_err(|error| MetricsError::Encode(error.to_string()))?;
        }
        Ok(page.finish())
    }

    /// The whole page in one piece.
    ///
    /// # Errors
    /// As [`MetricsRegistry::pieces`].
    pub fn encode(&self) -> Result<String, MetricsError> {
        String::from_utf8(self.pieces()?.concat())
            .map_err(|error| MetricsError::Encode(error.to_string()))
    }

    /// Pushes what is there to the OTLP endpoint, if there is one. Blocks for up to five seconds:
    /// not for use on an actor's thread.
    pub fn flush(&self) {
        if self.pushes.is_some() && self.provider.force_flush().is_err() {
            tracing::debug!("metrics were not flushed");
        }
    }

    /// Pushes a last time and ends the pushing. Blocks for up to five seconds. `encode` shows
    /// nothing any more afterwards.
    pub fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(%error, "metrics did not end cleanly");
        }
        if let Some(pushes) = &self.pushes {
            pushes.stop();
        }
    }
}

/// How many series a family may have. Room for all of them is taken at once, so it is not simply
/// large everywhere.
fn max_series(family: &str) -> usize {
    let is_gauge = gauges::SPECIFICATIONS.iter().any(|gauge| gauge.name == family);
    match family {
        "falconer_component_state" => MAX_COMPONENTS * HealthState::ALL.len(),
        // By verdict; by reason: few occur with one component, and hardly ever with all of them.
        "falconer_probes_total"
        | "falconer_probe_failures_total"
        | "falconer_replicas"
        | "falconer_component_latency_seconds" => MAX_COMPONENTS * 2,
        "falconer_probe_duration_seconds" | "falconer_actions_total" => MAX_COMPONENTS,
        _ if is_gauge => MAX_COMPONENTS,
        _ => MAX_SERIES,
    }
}

/// A thread with a runtime of its own for the gRPC connection, so that pushing needs nothing of
/// the actors' threads and takes nothing from them.
#[derive(Debug)]
struct PushRuntime {
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl PushRuntime {
    fn start(endpoint: &str) -> Result<(Self, PatientExporter), MetricsError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(MetricsError::Thread)?;
        let exporter = {
            // The lazy channel spawns its worker on the runtime that is entered while it is made.
            let _entered = runtime.enter();
            MetricExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(PUSH_TIMEOUT)
                .with_temporality(Temporality::Cumulative)
                .build()
                .map_err(|error| MetricsError::Otlp {
                    endpoint: endpoint.to_owned(),
                    message: error.to_string(),
                })?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("otlp".into())
            // Ends when told to, or when the last registry is dropped.
            .spawn(move || runtime.block_on(async { stopped.await.unwrap_or_default() }))
            .map_err(MetricsError::Thread)?;
        let exporter = PatientExporter {
            inner: exporter,
            clock: Clock::system(),
            endpoint: endpoint.to_owned(),
            pace: LogPace::default(),
        };
        Ok((Self { stop: Mutex::new(Some(stop)) }, exporter))
    }

    fn stop(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            // The far end is gone only where the thread has ended already.
            let _ended = stop.send(());
        }
    }
}

/// Logs that pushes fail, but not each of them.
#[derive(Debug)]
struct PatientExporter {
    inner: MetricExporter,
    clock: Clock,
    endpoint: String,
    pace: LogPace,
}

/// When the newest failure was logged.
#[derive(Debug, Default)]
struct LogPace(Mutex<Option<Instant>>);

impl LogPace {
    /// Whether a failure at `now` is to be logged; counts as logged if so.
    fn is_due(&self, now: Instant) -> bool {
        let mut logged_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged_at.is_none_or(|at| now.duration_since(at) >= PUSH_LOG_INTERVAL);
        if due {
            *logged_at = Some(now);
        }
        due
    }
}

impl PushMetricExporter for PatientExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.inner.export(metrics).await;
        if let Err(error) = &result
            && self.pace.is_due(self.clock.monotonic())
        {
            tracing::warn!(endpoint = %self.endpoint, %error, "metrics could not be pushed");
        }
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_a_minute() {
        let clock = Clock::starting_at(Timestamp::default());
        let (pace, start) = (LogPace::default(), clock.monotonic());
        let logged = (0..125).filter(|second| pace.is_due(start + Duration::from_secs(*second)));
        assert_eq!(logged.collect::<Vec<u64>>(), [0, 60, 120]);
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_an_error_that_names_the_key() {
        let settings = MetricsSettings {
            otlp_endpoint: Some("not a url".into()),
            ..MetricsSettings::default()
        };
        let error = crate::metrics::Metrics::new(&settings).unwrap_err().to_string();
        assert!(error.contains("not a url") && error.contains("otlp_endpoint"), "{error}");
    }
}

//! Every instrument of falconer, in one place. Labels come from closed enums and from configured
//! names, never from error texts or pod names. Never decides anything.
//!
//! Gauges are read from a table of present values when somebody scrapes, so the series of a
//! component that is no longer watched end with it. Counters and histograms stay until the process
//! ends, as Prometheus expects.

mod alerts;
mod circuits;
mod delivery;
mod export;
mod gauges;
mod heartbeat;
mod instruments;
mod journal;
mod leadership;
mod mailboxes;
mod pieces;
mod probes;
mod process;
mod receivers;
mod recovery;
mod state;
mod table;

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::model::{
    AlertStatus, CollectionProbe, ComponentId, HealthState, PerformanceReport, PodUsage,
    ProberKind, ReloadOutcome, Severity, TargetReport, Timestamp,
};

pub use circuits::CircuitParty;
pub use export::{MetricsError, MetricsRegistry, MetricsSettings};
pub use heartbeat::HeartbeatOutcome;
pub use mailboxes::MailboxCount;
pub use probes::ProbeMetrics;
pub use receivers::MessageLoss;
pub use state::StateSave;
use table::aggregate_performance;

use gauges::GaugesPage;
use instruments::{Instruments, METER_NAME, Naming};
use mailboxes::Mailboxes;
use table::{SharedTable, UsageRatios};

/// How an attempt to act ended; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionOutcome {
    /// The platform accepted it.
    Started,
    /// Verified: it worked.
    Succeeded,
    /// Verified: it did not work in time.
    Failed,
    /// The platform refused or could not be reached.
    Error,
    /// A guard refused it.
    Refused,
    /// Dry-run: only shown.
    DryRun,
    /// Something else does it: only said what falconer would do.
    Observed,
}

impl ActionOutcome {
    /// The value of the metric label, e.g. `dry_run`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::DryRun => "dry_run",
            Self::Observed => "observed",
        }
    }
}

/// What kind of action; a closed set, used as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// A rolling restart.
    Restart,
    /// The eviction of a pod.
    DeletePod,
    /// The removal of a pod that hangs in its end.
    ForceDelete,
    /// A return to the revision before.
    Rollback,
    /// More replicas.
    ScaleUp,
    /// Fewer replicas.
    ScaleDown,
}

impl ActionKind {
    /// The value of the metric label, e.g. `scale_up`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::DeletePod => "delete_pod",
            Self::ForceDelete => "force_delete",
            Self::Rollback => "rollback",
            Self::ScaleUp => "scale_up",
            Self::ScaleDown => "scale_down",
        }
    }
}

/// Handles to all instruments. Cheap to clone. The default one counts into nothing.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instruments: Instruments,
    table: SharedTable,
    mailboxes: Mailboxes,
    naming: Naming,
}

impl Default for Metrics {
    fn default() -> Self {
        let nowhere = SdkMeterProvider::builder().build();
        let gauges = GaugesPage { table: SharedTable::default(), naming: Naming::new(false) };
        Self::on(&nowhere, gauges, Timestamp::default())
    }
}

impl Metrics {
    /// Instruments that are exported as `settings` say, and the handle that serves them.
    ///
    /// # Errors
    /// When the OTLP endpoint is not a URL that can be used; an endpoint that does not answer is
    /// no error: it is tried again for ever.
    pub fn new(settings: &MetricsSettings) -> Result<(Self, MetricsRegistry), MetricsError> {
        let naming = Naming::new(settings.cluster_label);
        let gauges = GaugesPage { table: SharedTable::default(), naming };
        let registry = MetricsRegistry::new(settings, gauges.clone())?;
        if registry.pushes() {
            gauges::register(&registry.provider().meter(METER_NAME), &gauges);
        }
        let metrics = Self::on(registry.provider(), gauges, settings.started_at);
        Ok((metrics, registry))
    }

    fn on(provider: &SdkMeterProvider, gauges: GaugesPage, started_at: Timestamp) -> Self {
        let GaugesPage { table, naming } = gauges;
        let meter = provider.meter(METER_NAME);
        process::register(&meter, started_at);
        let mailboxes = Mailboxes::default();
        mailboxes.register(&meter);
        let instruments = Instruments::new(&meter);
        Self { inner: Arc::new(Inner { instruments, table, mailboxes, naming }) }
    }

    /// What is counted with every probe of one component.
    pub fn probes(&self, id: &ComponentId, kind: ProberKind) -> ProbeMetrics {
        ProbeMetrics::new(self.clone(), id.clone(), kind)
    }

    /// A probe that was due had to wait, because too many were due at once.
    pub fn probe_paced(&self) {
        self.inner.instruments.probes_paced.add(1, &[]);
    }

    /// A canary query ended; feeds `milvus_query_latency_seconds`, `milvus_query_total` and
    /// `milvus_collection_size`. The latency of a failed query is not recorded, and its collection's
    /// size is unknown until a query succeeds again.
    pub fn query_completed(&self, id: &ComponentId, canary: &CollectionProbe) {
        let collection = KeyValue::new("collection", canary.collection.clone());
        let mut labels = self.inner.naming.reference(id, [collection]);
        let status = if canary.error.is_none() {
            let seconds = canary.latency.as_secs_f64();
            self.inner.instruments.query_latency.record(seconds, &labels);
            "success"
        } else {
            "failure"
        };
        labels.push(KeyValue::new("status", status));
        self.inner.instruments.queries.add(1, &labels);
        let rows = if canary.error.is_none() { canary.rows } else { None };
        self.inner.table.component(id, |series| {
            match rows {
                Some(rows) => series.collections.insert(canary.collection.clone(), rows),
                None => series.collections.remove(&canary.collection),
            };
        });
    }

    /// A component's judged state; feeds `milvus_component_health` and `falconer_component_state`.
    pub fn state_changed(&self, id: &ComponentId, state: HealthState) {
        self.inner.table.component(id, |series| series.state = Some(state));
    }

    /// A component is no longer watched: its gauges end.
    pub fn component_removed(&self, id: &ComponentId) {
        self.inner.table.remove(id);
    }

    /// The count of messages in the mailboxes of the actors of kind `actor`; the same one at every
    /// call. Ask for it once and keep it.
    pub fn mailbox(&self, actor: &'static str) -> MailboxCount {
        self.inner.mailboxes.of(actor)
    }

    /// An actor was made anew.
    pub fn respawned(&self, actor: &'static str) {
        self.inner.instruments.respawns.add(1, &[KeyValue::new("actor", actor)]);
    }

    /// A command to an actor of kind `actor` was given up: handling it has made the actor end twice.
    pub fn command_given_up(&self, actor: &'static str) {
        self.inner.instruments.given_up.add(1, &[KeyValue::new("actor", actor)]);
    }

    /// A changed configuration touched an actor of kind `actor`.
    pub fn reconfigured(&self, actor: &'static str) {
        self.inner.instruments.reconfigured.add(1, &[KeyValue::new("actor", actor)]);
    }

    /// falconer started with a configuration that it read at `at`.
    pub fn config_loaded(&self, at: Timestamp) {
        let Instruments { reloads, reload_successful, reload_succeeded_at, .. } =
            &self.inner.instruments;
        // So that the first one shows as an increase.
        for outcome in ReloadOutcome::ALL {
            reloads.add(0, &[KeyValue::new("outcome", outcome.as_str())]);
        }
        reload_successful.record(1, &[]);
        reload_succeeded_at.record(at.as_millis() as f64 / 1_000.0, &[]);
    }

    /// The configuration was read again at `at`.
    pub fn config_reloaded(&self, outcome: ReloadOutcome, at: Timestamp) {
        let Instruments { reloads, reload_successful, reload_succeeded_at, .. } =
            &self.inner.instruments;
        reloads.add(1, &[KeyValue::new("outcome", outcome.as_str())]);
        reload_successful.record(u64::from(outcome.is_success()), &[]);
        if outcome.is_success() {
            reload_succeeded_at.record(at.as_millis() as f64 / 1_000.0, &[]);
        }
    }

    /// From now on the reference's families carry `cluster` too, or no longer.
    pub fn tell_clusters_apart(&self, apart: bool) {
        self.inner.naming.tell_clusters_apart(apart);
    }

    /// A message to people was accepted or not by a receiver. `receiver` is a configured name.
    pub fn alert_sent(
        &self,
        receiver: &str,
        severity: Severity,
        status: AlertStatus,
        delivered: bool,
    ) {
        let outcome = if delivered { "delivered" } else { "failed" };
        let labels = [
            KeyValue::new("receiver", receiver.to_owned()),
            KeyValue::new("severity", severity.as_str()),
            KeyValue::new("status", status.as_str()),
            KeyValue::new("outcome", outcome),
        ];
        self.inner.instruments.alerts.add(1, &labels);
    }

    /// An action was taken, verified or refused.
    pub fn action(&self, id: &ComponentId, kind: ActionKind, outcome: ActionOutcome) {
        let mut labels = Naming::own(id);
        labels.push(KeyValue::new("kind", kind.as_str()));
        labels.push(KeyValue::new("outcome", outcome.as_str()));
        self.inner.instruments.actions.add(1, &labels);
    }

    /// A component's replicas as desired by its workload, and ready.
    pub fn replicas(&self, id: &ComponentId, desired: u32, ready: u32) {
        self.inner.table.component(id, |series| series.replicas = Some((desired, ready)));
    }

    /// What a component's own metrics pages say, over all its pods.
    pub fn performance(&self, id: &ComponentId, report: &PerformanceReport) {
        self.inner
            .table
            .component(id, |series| series.performance = Some(Box::new(report.clone())));
    }

    /// The same from the targets of one report; nothing changes where no target was scraped.
    pub fn targets_scraped(&self, id: &ComponentId, targets: &[TargetReport]) {
        let scraped = targets.iter().filter_map(|target| target.performance.as_deref());
        if let Some(report) = aggregate_performance(scraped) {
            self.performance(id, &report);
        }
    }

    /// CPU and memory of a component's pods, as shares of their requests.
    pub fn usage(&self, id: &ComponentId, usage: &[PodUsage]) {
        let ratios = UsageRatios::of(usage);
        self.inner.table.component(id, |series| series.usage = ratios);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Outcome, ReasonKind};

    fn metrics(cluster_label: bool) -> (Metrics, MetricsRegistry) {
        let settings = MetricsSettings { cluster_label, ..MetricsSettings::default() };
        Metrics::new(&settings).expect("no endpoint, nothing to fail")
    }

    fn querynode() -> ComponentId {
        ComponentId::new("milvus-ha", "querynode")
    }

    fn canary(rows: Option<u64>, error: Option<&str>) -> CollectionProbe {
        CollectionProbe {
            collection: "products".into(),
            rows,
            latency: Duration::from_millis(20),
            error: error.map(Into::into),
        }
    }

    fn feed_everything(metrics: &Metrics) {
        let id = querynode();
        let probes = metrics.probes(&id, ProberKind::Pods);
        probes.completed(&Outcome::Healthy, Duration::from_millis(3));
        let failed = Outcome::failed(ReasonKind::Timeout, "no answer within 5 s");
        probes.completed(&failed, Duration::from_secs(5));
        metrics.query_completed(&id, &canary(Some(42), None));
        metrics.state_changed(&id, HealthState::Healthy);
        metrics.probe_paced();
        metrics.circuit_opened(CircuitParty::Target);
        let mailbox = metrics.mailbox("supervisor");
        mailbox.dropped();
        (0..3).for_each(|_| mailbox.put());
        metrics.respawned("prober");
        metrics.leads(true, false);
        metrics.breaker(&"milvus-ha".into(), true);
        metrics.action_unwritten();
        metrics.command_given_up("alerter");
        metrics.reconfigured("prober");
        metrics.config_loaded(Timestamp::default());
        metrics.config_reloaded(ReloadOutcome::Rejected, Timestamp::default());
        metrics.alert_sent("email", Severity::Critical, AlertStatus::Firing, true);
        metrics.digest_sent("email", true);
        metrics.alert_groups("email", 2);
        metrics.message_accepted("email", Duration::from_millis(120));
        metrics.delivery_flawed("email");
        metrics.action(&id, ActionKind::Restart, ActionOutcome::Started);
        metrics.replicas(&id, 3, 2);
        metrics.performance(
            &id,
            &PerformanceReport {
                qps: Some(12.5),
                error_rate: Some(0.25),
                latency_p50_ms: Some(4.0),
                latency_p99_ms: Some(80.0),
                resident_memory_bytes: Some(1 << 30),
                cpu_cores: Some(0.5),
                read_queue_length: Some(2.0),
                error: None,
            },
        );
        metrics.usage(
            &id,
            &[PodUsage {
                pod: "querynode-abc".into(),
                cpu_milli: Some(500),
                memory_bytes: Some(1 << 20),
                cpu_percent_of_request: Some(50),
                memory_percent_of_request: Some(25),
                cpu_percent_of_limit: None,
                memory_percent_of_limit: None,
                sampled_at: None,
                window: std::time::Duration::ZERO,
            }],
        );
    }

    fn series<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        let of_family = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        };
        page.lines().filter(of_family).collect()
    }

    #[test]
    fn the_reference_families_keep_their_names_and_labels_with_one_cluster() {
        let (metrics, registry) = metrics(false);
        metrics.query_completed(&querynode(), &canary(Some(42), None));
        metrics.query_completed(&querynode(), &canary(None, Some("deadline exceeded")));
        metrics.query_completed(&querynode(), &canary(Some(43), None));
        metrics.state_changed(&querynode(), HealthState::Healthy);
        let page = registry.encode().unwrap();
        assert_eq!(
            series(&page, "milvus_query_total"),
            [
                r#"milvus_query_total{collection="products",status="failure"} 1"#,
                r#"milvus_query_total{collection="products",status="success"} 2"#,
            ]
        );
        assert_eq!(
            series(&page, "milvus_query_latency_seconds_count"),
            [r#"milvus_query_latency_seconds_count{collection="products"} 2"#]
        );
        assert_eq!(
            series(&page, "milvus_collection_size"),
            [r#"milvus_collection_size{collection="products"} 43"#]
        );
        assert_eq!(
            series(&page, "milvus_component_health"),
            [r#"milvus_component_health{component="querynode"} 1"#]
        );
        assert!(page.contains("# TYPE milvus_query_latency_seconds histogram"), "{page}");
        assert!(page.contains("# TYPE milvus_query_total counter"), "{page}");
        assert!(!page.contains("otel_scope") && !page.contains("target_info"), "{page}");
    }

    #[test]
    fn several_clusters_are_told_apart_by_a_label() {
        let (metrics, registry) = metrics(true);
        for cluster in ["blue", "green"] {
            metrics.state_changed(&ComponentId::new(cluster, "proxy"), HealthState::Unhealthy);
        }
        let page = registry.encode().unwrap();
        assert_eq!(
            series(&page, "milvus_component_health"),
            [
                r#"milvus_component_health{cluster="blue",component="proxy"} 0"#,
                r#"milvus_component_health{cluster="green",component="proxy"} 0"#,
            ]
        );
    }

    #[test]
    fn health_is_one_while_it_serves_and_absent_while_unknown() {
        let (metrics, registry) = metrics(false);
        let expectations = [
            (HealthState::Unknown, None),
            (HealthState::Healthy, Some("1")),
            (HealthState::Degraded, Some("1")),
            (HealthState::Unhealthy, Some("0")),
            (HealthState::Unknown, None),
        ];
        for (state, expected) in expectations {
            metrics.state_changed(&querynode(), state);
            let page = registry.encode().unwrap();
            let health = series(&page, "milvus_component_health");
            let value = health.first().and_then(|line| line.rsplit(' ').next());
            assert_eq!(value, expected, "{state:?}");
            let states = series(&page, "falconer_component_state");
            let set: Vec<_> = states.iter().filter(|line| line.ends_with(" 1")).collect();
            assert_eq!((states.len(), set.len()), (HealthState::ALL.len(), 1), "{state:?}");
            assert!(set[0].contains(&format!("state=\"{}\"", state.as_str())), "{set:?}");
        }
    }

    #[test]
    fn the_gauges_of_a_removed_component_end() {
        let (metrics, registry) = metrics(false);
        feed_everything(&metrics);
        let page = registry.encode().unwrap();
        for family in ["milvus_component_health", "falconer_replicas", "milvus_collection_size"] {
            assert!(!series(&page, family).is_empty(), "{family} is missing in {page}");
        }
        metrics.component_removed(&querynode());
        let page = registry.encode().unwrap();
        let families = gauges::SPECIFICATIONS.iter().map(|specification| specification.name);
        for family in families {
            assert!(series(&page, family).is_empty(), "{family} goes on in {page}");
        }
        assert!(!series(&page, "falconer_probes_total").is_empty(), "counters stay");
    }

    #[test]
    fn the_size_of_a_collection_whose_query_fails_is_unknown() {
        let (metrics, registry) = metrics(false);
        metrics.query_completed(&querynode(), &canary(Some(42), None));
        metrics.query_completed(&querynode(), &canary(None, Some("collection not loaded")));
        assert!(series(&registry.encode().unwrap(), "milvus_collection_size").is_empty());
    }

    #[test]
    fn every_gauge_shows_what_it_was_fed() {
        let (metrics, registry) = metrics(false);
        feed_everything(&metrics);
        let page = registry.encode().unwrap();
        let id = r#"cluster="milvus-ha",component="querynode""#;
        for expected in [
            r#"milvus_collection_size{collection="products"} 42"#.to_owned(),
            format!(r#"falconer_replicas{{{id},state="desired"}} 3"#),
            format!(r#"falconer_replicas{{{id},state="ready"}} 2"#),
            format!("falconer_component_qps{{{id}}} 12.5"),
            format!("falconer_component_error_ratio{{{id}}} 0.25"),
            format!(r#"falconer_component_latency_seconds{{{id},percentile="50"}} 0.004"#),
            format!(r#"falconer_component_latency_seconds{{{id},percentile="99"}} 0.08"#),
            format!(r#"falconer_component_cpu_request_ratio{{{id},over_pods="max"}} 0.5"#),
            format!(r#"falconer_component_memory_request_ratio{{{id},over_pods="average"}} 0.25"#),
            format!(r#"falconer_probes_total{{{id},kind="pods",outcome="failed"}} 1"#),
            format!(r#"falconer_probe_failures_total{{{id},kind="pods",reason="timeout"}} 1"#),
            format!(r#"falconer_actions_total{{{id},kind="restart",outcome="started"}} 1"#),
            r#"falconer_mailbox_depth{actor="supervisor"} 3"#.to_owned(),
            r#"falconer_mailbox_dropped_total{actor="supervisor"} 1"#.to_owned(),
            r#"falconer_actor_respawns_total{actor="prober"} 1"#.to_owned(),
            r#"falconer_alert_digests_total{outcome="delivered",receiver="email"} 1"#.to_owned(),
            r#"falconer_alert_groups{receiver="email"} 2"#.to_owned(),
            r#"falconer_alerts_total{outcome="delivered",receiver="email",severity="critical",status="firing"} 1"#.to_owned(),
        ] {
            assert!(page.lines().any(|line| line == expected), "{expected} is missing in\n{page}");
        }
        assert!(!page.contains("querynode-abc"), "no pod names in labels");
    }

    #[test]
    fn the_default_metrics_take_everything_and_show_nothing() {
        feed_everything(&Metrics::default());
    }

    #[test]
    fn promtool_accepts_the_whole_page_without_a_complaint() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let (metrics, registry) = metrics(true);
        feed_everything(&metrics);
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool must be installed (Debian: apt-get install prometheus)");
        let page = registry.encode().unwrap();
        promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }

    #[test]
    fn the_ten_thousandth_component_has_series_of_its_own() {
        let (metrics, registry) = metrics(false);
        for index in 0..10_000 {
            let id = ComponentId::new("milvus-ha", format!("component-{index}"));
            let probes = metrics.probes(&id, ProberKind::Http);
            probes.completed(&Outcome::Healthy, Duration::from_millis(3));
            let failed = Outcome::failed(ReasonKind::Timeout, "no answer within 5 s");
            probes.completed(&failed, Duration::from_secs(5));
            metrics.state_changed(&id, HealthState::Healthy);
        }
        let page = registry.encode().unwrap();
        assert!(!page.contains("overflow"));
        let last = |name| {
            let of_last = |line: &&&str| line.contains("\"component-9999\"");
            series(&page, name).iter().filter(of_last).count()
        };
        assert_eq!(last("falconer_probes_total"), 2);
        assert_eq!(last("falconer_probe_failures_total"), 1);
        assert_eq!(last("falconer_probe_duration_seconds_count"), 1);
        assert_eq!(last("falconer_component_state"), HealthState::ALL.len());
        assert_eq!(last("milvus_component_health"), 1);
    }

    #[test]
    fn a_label_may_hold_any_text() {
        let (metrics, registry) = metrics(false);
        let id = ComponentId::new("milvus-ha", "a\"b\\c\nd");
        metrics.state_changed(&id, HealthState::Healthy);
        let page = registry.encode().unwrap();
        assert_eq!(
            series(&page, "milvus_component_health"),
            [r#"milvus_component_health{component="a\"b\\c\nd"} 1"#]
        );
    }
}

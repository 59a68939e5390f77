//! The README against the code: every key and every metric that exists is explained there, and
//! none that does not.

use std::collections::BTreeSet;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::config::settings::{
    ClusterSettings, PagerDutySettings, ProberSettings, ProcessSettings, Route, Settings,
    WebhookSettings, WindowSettings,
};
use falconer::effects::journal::{JournalLimits, SqliteJournal, SqliteSettings};
use falconer::metrics::{
    ActionKind, ActionOutcome, CircuitParty, HeartbeatOutcome, MessageLoss, Metrics,
    MetricsSettings, StateSave,
};
use falconer::model::{
    AlertStatus, CollectionProbe, ComponentId, HealthState, JournalKind, Outcome,
    PerformanceReport, PodUsage, ProberKind, ReasonKind, ReloadOutcome, Severity, Timestamp,
};
use serde::Serialize;
use serde_json::Value;

const README: &str = include_str!("../README.md");

/// The code spans in the first column of the tables of one section.
fn first_columns(heading: &str) -> BTreeSet<String> {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|span| !span.starts_with('['))
        .map(str::to_owned)
        .collect()
}

/// The keys of a settings struct; those of tables inside it as `table.key` too.
fn keys_of(settings: impl Serialize, out: &mut BTreeSet<String>) {
    let Value::Object(object) = serde_json::to_value(settings).unwrap() else { return };
    for (key, value) in object {
        if let Value::Object(inner) = &value {
            out.extend(inner.keys().map(|inner| format!("{key}.{inner}")));
        }
        out.insert(key);
    }
}

#[test]
fn every_key_of_the_configuration_is_in_the_readme_and_no_other() {
    let documented = first_columns("Configuration");
    let settings = Settings::default();
    let mut required = BTreeSet::new();
    // Parts that this version reads without using them are named together, below the table.
    let unused = ["anomaly"];
    let Value::Object(tables) = serde_json::to_value(&settings).unwrap() else { unreachable!() };
    for (name, table) in tables {
        if unused.contains(&name.as_str()) {
            assert!(README.contains(&format!("`[{name}]`")), "{name}");
        } else {
            keys_of(table, &mut required);
        }
    }
    keys_of(&settings.alerter.email, &mut required);
    keys_of(&settings.alerter.slack, &mut required);
    keys_of(&settings.alerter.alertmanager, &mut required);
    keys_of(PagerDutySettings::default(), &mut required);
    keys_of(ClusterSettings::default(), &mut required);
    keys_of(ProcessSettings::default(), &mut required);
    keys_of(ProberSettings::default(), &mut required);
    keys_of(WebhookSettings::default(), &mut required);
    keys_of(WindowSettings::default(), &mut required);
    let Value::Object(route) = serde_json::to_value(Route::default()).unwrap() else {
        unreachable!()
    };
    required.extend(route.keys().map(|key| format!("routes.{key}")));
    let is_documented = |key: &String| {
        let inner = format!("{key}.");
        let outer = key.split('.').next().unwrap_or(key);
        documented.contains(key)
            // Either the table as a whole or each of its keys, or it has a heading of its own.
            || documented.iter().any(|name| name.starts_with(&inner))
            || (outer != key && documented.contains(outer))
            || README.contains(&format!("**`[alerter.{outer}"))
            || README.contains(&format!("**`[clusters.NAME.{outer}"))
    };
    let missing: Vec<&String> = required.iter().filter(|key| !is_documented(key)).collect();
    assert!(missing.is_empty(), "the README does not explain {missing:?}");
    let invented: Vec<&String> = documented.difference(&required).collect();
    assert!(invented.is_empty(), "the README explains keys that do not exist: {invented:?}");
}

#[test]
fn every_metric_is_in_the_readme_and_no_other() {
    let (metrics, registry) = Metrics::new(&MetricsSettings::default()).unwrap();
    feed(&metrics);
    let page = registry.encode().unwrap();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let exported: BTreeSet<String> = types.map(str::to_owned).collect();
    assert_eq!(exported, first_columns("Metrics"));
}

fn feed(metrics: &Metrics) {
    let id = ComponentId::new("milvus-ha", "querynode");
    metrics.leads(true, true);
    let failed = Outcome::failed(ReasonKind::Timeout, "no answer");
    metrics.probes(&id, ProberKind::Pods).completed(&failed, Duration::from_secs(5));
    let canary = CollectionProbe {
        collection: "products".into(),
        rows: Some(1),
        latency: Duration::from_millis(1),
        error: None,
    };
    metrics.query_completed(&id, &canary);
    metrics.state_changed(&id, HealthState::Healthy);
    metrics.probe_paced();
    metrics.circuit_opened(CircuitParty::Target);
    let mailbox = metrics.mailbox("supervisor");
    mailbox.dropped();
    mailbox.put();
    metrics.respawned("prober");
    metrics.command_given_up("alerter");
    metrics.reconfigured("prober");
    metrics.config_loaded(Timestamp::default());
    metrics.config_reloaded(ReloadOutcome::Applied, Timestamp::default());
    metrics.leads(true, false);
    metrics.breaker(&id.cluster, true);
    metrics.alert_groups("email", 1);
    metrics.digest_sent("email", true);
    metrics.silences_active(1);
    metrics.alerts_suppressed("silenced", 1);
    metrics.action_unwritten();
    metrics.state_saved("disk", StateSave::Saved);
    metrics.heartbeat(HeartbeatOutcome::Accepted);
    metrics.receiver_is("email", 1, true);
    metrics.message_lost("email", MessageLoss::GivenUp);
    metrics.journal_recorded(JournalKind::Probe, 1);
    metrics.journal_dropped(1);
    metrics.journal_is(false, 4_096);
    metrics.alert_sent("email", Severity::Warning, AlertStatus::Firing, true);
    metrics.message_accepted("email", Duration::from_millis(120));
    metrics.delivery_flawed("email");
    metrics.action(&id, ActionKind::ScaleUp, ActionOutcome::Started);
    metrics.replicas(&id, 2, 2);
    let performance = PerformanceReport {
        qps: Some(1.0),
        error_rate: Some(0.0),
        latency_p50_ms: Some(1.0),
        latency_p99_ms: Some(1.0),
        read_queue_length: Some(0.0),
        ..PerformanceReport::default()
    };
    metrics.performance(&id, &performance);
    let usage = PodUsage {
        pod: "a".into(),
        cpu_milli: None,
        memory_bytes: None,
        cpu_percent_of_request: Some(1),
        memory_percent_of_request: Some(1),
        cpu_percent_of_limit: None,
        memory_percent_of_limit: None,
        sampled_at: None,
        window: std::time::Duration::ZERO,
    };
    metrics.usage(&id, &[usage]);
}

const JOURNAL: &str = include_str!("../docs/journal.md");

/// The tables and views that the page describes, each with its columns.
fn described_tables() -> BTreeSet<(String, Vec<String>)> {
    let rows = JOURNAL.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let spans = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    rows.map(|row| {
        let (name, columns) = row.split_once("` | ").unwrap();
        (name.to_owned(), spans(columns))
    })
    .collect()
}

#[tokio::test]
async fn the_form_of_the_journal_is_the_one_that_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("falconer.db");
    let limits = JournalLimits { retention: Duration::from_secs(1), max_bytes: 1 << 20 };
    let settings = SqliteSettings { path: path.clone(), limits };
    let journal = SqliteJournal::open(settings, Clock::system(), Metrics::default()).unwrap();
    assert!(journal.close(Duration::from_secs(20)).await);
    let file = rusqlite::Connection::open(path).unwrap();
    let list = "SELECT m.name, group_concat(c.name, ' ')
                FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                WHERE m.type IN ('table', 'view') GROUP BY m.name";
    let mut list = file.prepare(list).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let real = list.query_map([], row).unwrap().map(|row| {
        let (name, columns) = row.unwrap();
        (name, columns.split(' ').map(str::to_owned).collect())
    });
    assert_eq!(real.collect::<BTreeSet<(String, Vec<String>)>>(), described_tables());
    let version: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert!(JOURNAL.contains(&format!("`PRAGMA user_version` is {version}.")));
}

//! How long does it take from an incident until a receiver has accepted the message, with a hundred
//! receivers, and does one that hangs slow the others?
//!
//! 100 webhooks over real HTTP on loopback, served by a thread of its own; the alerter with its real
//! adapters, and the essential state in a real SQLite file, so that each message is on record before it
//! is sent. Three times in one run, one after the other: all answer; one of them never does; all
//! answer again. In each, one incident after another is raised, and it is measured when each of the
//! others has accepted its message. The last line is one JSON object.
#![allow(clippy::disallowed_methods, reason = "a bench measures with clocks of its own")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::prelude::*;
use anyhow::Context as _;
use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use falconer::actors::alerter::{
    Alerter, AlerterInbox, AlerterParts, AlerterSettings, RaiseAlert, ResolveAlert,
};
use falconer::actors::keeper::{NamedStore, Patience, StateKeeper};
use falconer::actors::status::StatusBoard;
use falconer::clock::Clock;
use falconer::effects::journal::{JournalLimits, SqliteJournal, SqliteSettings};
use falconer::effects::notify::{WebhookNotifier, WebhookSettings};
use falconer::effects::{Notifier, NotifyError};
use falconer::metrics::Metrics;
use falconer::model::{
    ComponentId, IncidentId, Notification, Reason, ReasonKind, Receipt, Severity,
};
use falconer::policy::notification::{Alert, RateLimit};
use serde_json::{Value, json};
use support::report::{self, percentile, rounded};

const RECEIVERS: usize = 100;
/// The one that hangs.
const HANGING: usize = 0;
const WARM_UP: usize = 20;
/// No message takes longer; what has not arrived by then is counted as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// When which message was accepted.
#[derive(Default)]
struct Accepted {
    of: Mutex<BTreeMap<Arc<str>, Vec<Instant>>>,
    count: AtomicUsize,
}

/// Notes when the far side has accepted.
struct Timed {
    within: WebhookNotifier,
    number: usize,
    accepted: Arc<Accepted>,
}

#[async_trait]
impl Notifier for Timed {
    fn name(&self) -> &str {
        self.within.name()
    }

    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyError> {
        let result = self.within.notify(notification).await;
        let at = Instant::now();
        if result.is_ok() && self.number != HANGING {
            let mut of = self.accepted.of.lock().unwrap();
            for alert in notification.alerts() {
                of.entry(alert.incident.as_str().into()).or_default().push(at);
            }
            drop(of);
            self.accepted.count.fetch_add(1, Ordering::SeqCst);
        }
        result
    }
}

async fn receive(State(hangs): State<Arc<AtomicBool>>, Path(number): Path<usize>) -> StatusCode {
    if number == HANGING && hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    StatusCode::OK
}

/// The far side of all webhooks, on a thread of its own that ends with the process.
fn serve(hangs: Arc<AtomicBool>) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let router =
                Router::new().route("/{number}", axum::routing::post(receive)).with_state(hangs);
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await.expect("it serves");
        });
    });
    Ok(address)
}

fn alert(number: usize, clock: Clock) -> Alert {
    // A cluster for each, so that no message waits for the next one of its group.
    let component = ComponentId::new(format!("cluster-{number}"), "querynode");
    let started_at = clock.now();
    Alert {
        incident: IncidentId::new(&component, started_at),
        component,
        severity: Severity::Critical,
        title: "querynode is unhealthy".to_owned(),
        reason: Reason::new(ReasonKind::Timeout, "no answer within 5 s"),
        details: vec!["querynode-abc: no answer within 5 s".to_owned()],
        action: String::new(),
        causes: Vec::new(),
        suspicion: None,
        settle_secs: 0,
        affects: Vec::new(),
        seen: Vec::new(),
        look_closer: Vec::new(),
        is_flapping: false,
        started_at,
    }
}

fn settings() -> AlerterSettings {
    AlerterSettings {
        group_wait: Duration::ZERO,
        repeat_interval: Duration::from_hours(24),
        send_resolved: false,
        // Each incident is a message of its own here, however many there are.
        rate_limit: RateLimit { messages: 1_000_000, per: Duration::from_secs(1) },
        ..AlerterSettings::default()
    }
}

struct Stage {
    inbox: AlerterInbox,
    accepted: Arc<Accepted>,
    hangs: Arc<AtomicBool>,
    clock: Clock,
    raised: usize,
    _alerter: Addr<Alerter>,
}

/// What one phase measured.
struct Phase {
    latencies_ms: Vec<f64>,
    lost: usize,
}

impl Stage {
    async fn set(folder: &std::path::Path) -> anyhow::Result<Self> {
        let (clock, metrics) = (Clock::system(), Metrics::default());
        let hangs = Arc::new(AtomicBool::new(false));
        let address = serve(Arc::clone(&hangs))?;
        let accepted = Arc::new(Accepted::default());
        let mut receivers: Vec<Arc<dyn Notifier>> = Vec::new();
        for number in 0..RECEIVERS {
            let url = format!("http://{address}/{number}");
            let mut settings = WebhookSettings::new(format!("r{number}"), url);
            settings.timeout = PATIENCE;
            let (within, accepted) = (WebhookNotifier::new(settings)?, Arc::clone(&accepted));
            receivers.push(Arc::new(Timed { within, number, accepted }));
        }
        let path = folder.join("falconer.db");
        let limits = JournalLimits { retention: Duration::from_hours(1), max_bytes: 1 << 30 };
        let sqlite = SqliteSettings { path, limits };
        let journal = Arc::new(SqliteJournal::open(sqlite, clock, metrics.clone())?);
        let store =
            NamedStore { name: "disk", store: Arc::clone(&journal) as _, is_decisive: false };
        let keeper = StateKeeper::start(vec![store], clock, metrics.clone());
        let loaded = keeper.load(Patience::WaitForAll).await.context("a readable store")?;
        keeper.open(&loaded, loaded.state.clone());
        let inbox = AlerterInbox::default();
        let parts = AlerterParts {
            inbox: inbox.clone(),
            book: Arc::default(),
            board: StatusBoard::default(),
            journal,
            silences: Arc::default(),
            keeper,
            clock,
            metrics,
        };
        let alerter = Alerter::new(settings(), receivers, parts).start();
        inbox.publish(&alerter);
        Ok(Self { inbox, accepted, hangs, clock, raised: 0, _alerter: alerter })
    }

    /// Raises one incident and waits until the 99 have heard of it.
    async fn incident(&mut self) -> Phase {
        let alert = alert(self.raised, self.clock);
        self.raised += 1;
        let incident = alert.incident.clone();
        self.accepted.count.store(0, Ordering::SeqCst);
        let begun = Instant::now();
        self.inbox.raise.send(RaiseAlert(alert));
        while self.accepted.count.load(Ordering::SeqCst) < RECEIVERS - 1
            && begun.elapsed() < PATIENCE
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let accepted = self.accepted.of.lock().unwrap().remove(incident.as_str());
        let accepted = accepted.unwrap_or_default();
        self.inbox.resolve.send(ResolveAlert { incident, ended_at: self.clock.now() });
        tokio::time::sleep(Duration::from_millis(25)).await;
        let latency = |at: &Instant| at.duration_since(begun).as_secs_f64() * 1_000.0;
        let lost = RECEIVERS - 1 - accepted.len().min(RECEIVERS - 1);
        Phase { latencies_ms: accepted.iter().map(latency).collect(), lost }
    }

    async fn phase(&mut self, name: &str, incidents: usize, hangs: bool) -> Phase {
        self.hangs.store(hangs, Ordering::SeqCst);
        let mut phase = Phase { latencies_ms: Vec::new(), lost: 0 };
        for _ in 0..incidents {
            let one = self.incident().await;
            phase.latencies_ms.extend(one.latencies_ms);
            phase.lost += one.lost;
        }
        phase.latencies_ms.sort_by(f64::total_cmp);
        report::progress(format!("{name}: {}", phase.figures()));
        phase
    }
}

impl Phase {
    fn at(&self, quantile: f64) -> f64 {
        percentile(&self.latencies_ms, quantile)
    }

    fn figures(&self) -> Value {
        json!({
            "messages": self.latencies_ms.len(),
            "lost": self.lost,
            "p50_ms": rounded(self.at(0.5), 3),
            "p99_ms": rounded(self.at(0.99), 3),
            "max_ms": rounded(self.at(1.0), 3),
        })
    }
}

async fn measure(incidents: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut stage = Stage::set(folder.path()).await?;
    stage.phase("warm-up", WARM_UP, false).await;
    let before = stage.phase("all answer", incidents, false).await;
    let during = stage.phase("one hangs", incidents, true).await;
    let after = stage.phase("all answer again", incidents, false).await;
    let ratio = |quantile| rounded(during.at(quantile) / before.at(quantile), 3);
    let figures = json!({
        "receivers": RECEIVERS,
        "incidents_per_phase": incidents,
        "all_answer": before.figures(),
        "one_hangs": during.figures(),
        "all_answer_again": after.figures(),
        "p50_ratio": ratio(0.5),
        "p99_ratio": ratio(0.99),
        "max_ratio": ratio(1.0),
        "all_others_told_while_one_hangs": during.lost == 0,
    });
    report::print("notify_fanout", &figures);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let incidents = std::env::var("FALCONER_FANOUT_INCIDENTS").ok();
    let incidents = incidents.and_then(|text| text.parse().ok()).unwrap_or(200);
    System::new().block_on(measure(incidents))
}

//! Does falconer stay what it was, under faults, for an hour?
//!
//! 1,000 HTTP targets at 1 s. 700 always answer; of the other 300, one at a time begins to answer 500,
//! to hang, to refuse connections, to be slow, to speak garbage or to hang up, and is well again after
//! 2 to 60 s. The mail server hangs or hangs up now and then. Which, when and how long follows from
//! `FALCONER_SOAK_SEED` (default 1). In the end all are well, and what is still to be told is awaited.
//!
//! `FALCONER_SOAK_SECONDS` changes the hour; Ctrl-C ends it early with the figures so far. A line on
//! standard error each minute; the last line on standard output is one JSON object.
#![allow(clippy::disallowed_methods, reason = "a bench measures with clocks of its own")]

#[path = "soak/faults.rs"]
mod faults;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use faults::Trouble;
use serde_json::{Value, json};
use support::falconer::{self, Falconer};
use support::lateness::Arrivals;
use support::mail::{MailFault, MailServer};
use support::noise::Noise;
use support::proc;
use support::process::pause;
use support::report::{self, mean, rounded};
use support::targets::{Mode, Targets, serve_if_asked};

const COUNT: usize = 1_000;
const HEALTHY: usize = 700;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(60);
const SAMPLE_EVERY: u64 = 5;
const REPORT_EVERY: u64 = 60;
/// The beginning and the end that are compared, where the whole is long enough.
const EDGE: Duration = Duration::from_mins(10);
/// How long the last mails may take: after the whole time, and after an interruption.
const DELIVERY_LIMIT: Duration = Duration::from_mins(10);
const HASTY_DELIVERY_LIMIT: Duration = Duration::from_secs(20);

/// What `/proc` said at one time.
struct Sample {
    at: Duration,
    resident_kib: f64,
    descriptors: f64,
}

struct Soak {
    targets: Targets,
    mail: MailServer,
    falconer: Falconer,
    trouble: Trouble,
    seen: Arrivals,
    requests: u64,
    samples: Vec<Sample>,
    /// Lines of falconer's metrics page in the beginning.
    series: usize,
    began: Instant,
    began_at: u64,
}

impl Soak {
    fn begin(seed: u64) -> anyhow::Result<Self> {
        let mut targets = Targets::start(COUNT)?;
        let mail = MailServer::start()?;
        let more = mail.configuration("5s");
        let configuration = falconer::configuration(&targets, INTERVAL, TIMEOUT, &more);
        let falconer = Falconer::start(&configuration)?;
        falconer.wait_until_ready(READY_LIMIT)?;
        pause(WARM_UP)?;
        targets.take()?;
        let series = series(&falconer)?;
        let began_at = targets.now()?;
        Ok(Self {
            targets,
            mail,
            falconer,
            trouble: Trouble::new(seed, HEALTHY..COUNT),
            seen: Arrivals::default(),
            requests: 0,
            samples: Vec::new(),
            series,
            began: Instant::now(),
            began_at,
        })
    }

    /// Second by second, until the end or an interruption.
    fn run(&mut self, length: Duration) -> anyhow::Result<()> {
        for second in 0..length.as_secs() {
            for (target, mode) in self.trouble.next_second(second) {
                self.targets.set(target..target + 1, mode)?;
            }
            if let Some(fault) = self.trouble.mail(second) {
                self.mail.set(fault);
            }
            if second % SAMPLE_EVERY == 0 {
                self.sample()?;
            }
            if second % REPORT_EVERY == REPORT_EVERY - 1 {
                self.collect()?;
                self.tell();
            }
            let next = self.began + Duration::from_secs(second + 1);
            pause(next.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    fn sample(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.falconer.ended()? {
            bail!("falconer has ended: {status}");
        }
        let pid = self.falconer.pid();
        self.samples.push(Sample {
            at: self.began.elapsed(),
            resident_kib: proc::resident_kib(pid)? as f64,
            descriptors: proc::descriptors(pid)? as f64,
        });
        Ok(())
    }

    fn collect(&mut self) -> anyhow::Result<()> {
        let arrivals = self.targets.take()?;
        self.requests += arrivals.len() as u64;
        // Only these are judged, and an hour of all would be a burden.
        self.seen.extend(arrivals.into_iter().filter(|one| (one.target as usize) < HEALTHY));
        Ok(())
    }

    fn tell(&self) {
        let Some(last) = self.samples.last() else { return };
        let minutes = (self.began.elapsed().as_secs() + 1) / 60;
        let mib = last.resident_kib / 1024.0;
        report::progress(format!(
            "{minutes} min: {mib:.1} MiB, {} descriptors, {} requests, {} targets in trouble, {} mails",
            last.descriptors,
            self.requests,
            self.trouble.open(),
            self.mail.accepted(),
        ));
    }

    /// Everything is well again; waits until no alert is open.
    fn settle(&mut self, limit: Duration) -> anyhow::Result<bool> {
        self.mail.set(MailFault::None);
        self.targets.set(0..COUNT, Mode::Answer)?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let (_, status) = self.falconer.get("/api/v1/status")?;
            let status: Value = serde_json::from_str(&status)?;
            if open_alerts(&status) == Some(0) {
                return Ok(true);
            }
            // Not `pause`: an interruption was what may have led here.
            std::thread::sleep(INTERVAL);
        }
        Ok(false)
    }

    fn figures(&mut self, seed: u64, ended: &anyhow::Result<()>) -> anyhow::Result<Value> {
        let limit = if ended.is_ok() { DELIVERY_LIMIT } else { HASTY_DELIVERY_LIMIT };
        let how_it_ended = match ended {
            Ok(()) => "as planned".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        let end = self.targets.now()?;
        let spent = self.began.elapsed();
        // What was due in the last moment may still be on its way.
        std::thread::sleep(INTERVAL);
        self.collect()?;
        let healing = Instant::now();
        let settled = self.settle(limit);
        let settled_after = rounded(healing.elapsed().as_secs_f64(), 1);
        self.sample()?;
        let healthy = self.seen.lateness(0..HEALTHY as u32, INTERVAL, &(self.began_at..end));
        let metric = |name: &str, labels: &[&str]| self.falconer.metric(name, labels).ok();
        Ok(json!({
            "how_it_ended": how_it_ended,
            "seed": seed,
            "seconds": spent.as_secs(),
            "targets": COUNT,
            "targets_always_healthy": HEALTHY,
            "faults": self.trouble.begun(),
            "memory": self.edges(spent, |sample| sample.resident_kib / 1024.0),
            "descriptors": self.edges(spent, |sample| sample.descriptors),
            "metric_series_first": self.series,
            "metric_series_last": series(&self.falconer).ok(),
            "requests_seen": self.requests,
            "probes_made": metric("falconer_probes_total", &[]),
            "probes_failed": metric("falconer_probes_total", &["outcome=\"failed\""]),
            "lateness_of_healthy": healthy.summary(),
            "alerts": self.alerts(),
            "all_alerts_closed": settled.unwrap_or(false),
            "last_alert_closed_after_s": settled_after,
            "failed_mail_attempts":
                metric("falconer_alerts_total", &["receiver=\"email\"", "outcome=\"failed\""]),
            "messages_dropped": metric("falconer_mailbox_dropped_total", &[]),
            "respawns": metric("falconer_actor_respawns_total", &[]),
        }))
    }

    /// Mean and largest value in the first and in the last ten minutes, and their ratios.
    fn edges(&self, spent: Duration, figure: impl Fn(&Sample) -> f64) -> Value {
        let edge = EDGE.min(spent / 3);
        let figures = |wanted: &dyn Fn(&Sample) -> bool| -> (f64, f64) {
            let wanted: Vec<f64> =
                self.samples.iter().filter(|sample| wanted(sample)).map(&figure).collect();
            (mean(&wanted), wanted.iter().copied().fold(f64::NAN, f64::max))
        };
        let (first_mean, first_max) = figures(&|sample| sample.at <= edge);
        let (last_mean, last_max) =
            figures(&|sample| sample.at + edge >= spent && sample.at <= spent);
        json!({
            "first_mean": rounded(first_mean, 2),
            "first_max": rounded(first_max, 2),
            "last_mean": rounded(last_mean, 2),
            "last_max": rounded(last_max, 2),
            "ratio_of_means": rounded(last_mean / first_mean, 4),
            "ratio_of_maxima": rounded(last_max / first_max, 4),
            "after_all_is_well": self.samples.last().map(|sample| rounded(figure(sample), 2)),
        })
    }

    /// What people were told, against what falconer's log says was to be told. An incident that
    /// lasts is told again after five minutes; of one that was over before a mail was accepted, the
    /// one about its end tells the whole story; one that is over within `group_wait` is not told.
    fn alerts(&self) -> Value {
        let mails = self.mail.mails();
        let (firing, resolved) = (mails.by_incident("firing"), mails.by_incident("resolved"));
        let copies: usize = mails.by_message().values().map(|n| n - 1).sum();
        let only_in = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| {
            one.keys().filter(|incident| !other.contains_key(*incident)).count()
        };
        let whole_story = only_in(&resolved, &firing);
        let log = self.falconer.log();
        let said = |words: &[&str]| {
            log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
        };
        let raised = said(&["alert raised"]);
        let never_sent = said(&["alert closed", "receiver=email", "outcome=NeverSent"]);
        json!({
            "raised": raised,
            "over_before_it_was_worth_a_mail": never_sent,
            "incidents_told": firing.len() + whole_story,
            "lost": raised.saturating_sub(never_sent + firing.len() + whole_story),
            "firing_mails": firing.values().sum::<usize>(),
            "resolved_mails": resolved.values().sum::<usize>(),
            "told_at_their_end_only": whole_story,
            "told_without_end": only_in(&firing, &resolved),
            "copies": copies,
        })
    }
}

/// How many series falconer keeps: each kind of failure of a component is one more.
fn series(falconer: &Falconer) -> anyhow::Result<usize> {
    let (_, page) = falconer.get("/metrics")?;
    Ok(page.lines().filter(|line| !line.starts_with('#')).count())
}

fn open_alerts(status: &Value) -> Option<usize> {
    status.pointer("/alerter/alerts")?.as_array().map(Vec::len)
}

fn main() -> anyhow::Result<()> {
    serve_if_asked();
    let length = report::seconds("FALCONER_SOAK_SECONDS", 3_600);
    let seed = report::seconds("FALCONER_SOAK_SEED", 1).as_secs();
    let mut soak = Soak::begin(seed)?;
    let noise = Noise::listen();
    let ended = soak.run(length);
    let machine = noise.summary();
    let mut figures = soak.figures(seed, &ended)?;
    figures["machine"] = machine;
    figures["exit_code"] = json!(soak.falconer.terminate()?.code());
    report::print("soak", &figures);
    Ok(())
}

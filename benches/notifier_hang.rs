//! Does a mail server that hangs delay probes, lose an alert or send one twice?
//!
//! 1,000 HTTP targets at 1 s. Three times the mail server hangs for 30 s, and at the same moment ten
//! targets begin to answer 500, so that ten incidents open:
//!
//! - `silent_then_dropped`: it accepts, says nothing, and drops these connections in the end;
//! - `silent_then_greets`: it accepts, says nothing, and greets in the end;
//! - `verdict_withheld`: it takes the mail but never says so. SMTP knows no way to ask what became of a
//!   mail, so falconer sends it again, as it must; the repeated mail bears the same Message-ID, by
//!   which a mailbox can drop it. Here the copies are counted, not forbidden.
//!
//! Reported are the lateness of the other targets' probes before and during each fault, as in the
//! bench `isolation`, and how many mails came of each incident. The last line is one JSON object.
#![allow(clippy::disallowed_methods, reason = "a bench measures with clocks of its own")]

mod support;

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Map, Value, json};
use support::falconer::{self, Falconer, component};
use support::lateness::Arrivals;
use support::mail::{MailFault, MailServer};
use support::noise::Noise;
use support::process::pause;
use support::report::{self, rounded};
use support::targets::{Mode, Targets, serve_if_asked};

const COUNT: usize = 1_000;
const INCIDENTS: usize = 10;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long mails may take after the fault; falconer's back-off is part of that.
const DELIVERY_LIMIT: Duration = Duration::from_secs(180);
/// How long is waited for a mail too many.
const AFTERMATH: Duration = Duration::from_secs(10);
const RATIO_LIMIT: f64 = 1.2;
const P99_LIMIT_MS: f64 = 15.0;

/// A fault and the targets that fail meanwhile.
struct Case {
    name: &'static str,
    fault: MailFault,
    failing: Range<usize>,
    /// Whether a mail may come twice: only where nobody can know.
    copies_allowed: bool,
}

const CASES: [Case; 3] = [
    Case {
        name: "silent_then_dropped",
        fault: MailFault::HoldThenDrop,
        failing: 0..INCIDENTS,
        copies_allowed: false,
    },
    Case {
        name: "silent_then_greets",
        fault: MailFault::HoldThenGreet,
        failing: INCIDENTS..2 * INCIDENTS,
        copies_allowed: false,
    },
    Case {
        name: "verdict_withheld",
        fault: MailFault::WithholdVerdict,
        failing: 2 * INCIDENTS..3 * INCIDENTS,
        copies_allowed: true,
    },
];

/// The targets that never fail.
const HEALTHY: Range<u32> = (3 * INCIDENTS) as u32..COUNT as u32;

/// What became of the mails of one case.
#[derive(Default)]
struct Delivery {
    firing: Vec<usize>,
    resolved: Vec<usize>,
    after_fault: Option<Duration>,
    failed_attempts: f64,
}

impl Delivery {
    fn all_exactly_once(&self) -> bool {
        let once = |mails: &[usize]| mails.len() == INCIDENTS && mails.iter().all(|n| *n == 1);
        once(&self.firing) && once(&self.resolved)
    }

    fn none_lost(&self) -> bool {
        self.firing.iter().chain(&self.resolved).all(|mails| *mails > 0)
    }

    fn figures(&self) -> Value {
        let told = |mails: &[usize]| mails.iter().filter(|n| **n > 0).count();
        let copies = |mails: &[usize]| mails.iter().map(|n| n.saturating_sub(1)).sum::<usize>();
        json!({
            "incidents": INCIDENTS,
            "incidents_told": told(&self.firing),
            "firing_copies": copies(&self.firing),
            "ends_told": told(&self.resolved),
            "resolved_copies": copies(&self.resolved),
            "failed_attempts": self.failed_attempts,
            "last_firing_after_fault_s":
                self.after_fault.map(|after| rounded(after.as_secs_f64(), 1)),
            "exactly_once": self.all_exactly_once(),
        })
    }
}

/// The stage on which the cases are played.
struct Stage {
    targets: Targets,
    mail: MailServer,
    falconer: Falconer,
    seen: Arrivals,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        let mut targets = Targets::start(COUNT)?;
        let mail = MailServer::start()?;
        let more = mail.configuration("1s");
        let configuration = falconer::configuration(&targets, INTERVAL, TIMEOUT, &more);
        let falconer = Falconer::start(&configuration)?;
        falconer.wait_until_ready(READY_LIMIT)?;
        pause(WARM_UP)?;
        targets.take()?;
        Ok(Self { targets, mail, falconer, seen: Arrivals::default() })
    }

    fn mails_of(&self, case: &Case, status: &str) -> Vec<usize> {
        let mails = self.mail.mails();
        case.failing.clone().map(|index| mails.about(&component(index), status)).collect()
    }

    fn wait_for(&self, case: &Case, status: &str) -> anyhow::Result<Option<Duration>> {
        let began = Instant::now();
        while began.elapsed() < DELIVERY_LIMIT {
            if self.mails_of(case, status).iter().all(|mails| *mails > 0) {
                return Ok(Some(began.elapsed()));
            }
            pause(Duration::from_millis(100))?;
        }
        Ok(None)
    }

    fn failed_attempts(&self) -> anyhow::Result<f64> {
        let labels = ["receiver=\"email\"", "outcome=\"failed\""];
        self.falconer.metric("falconer_alerts_total", &labels)
    }

    /// Plays one case; returns the fault's time and what became of the mails.
    fn play(&mut self, case: &Case, fault: Duration) -> anyhow::Result<(Range<u64>, Delivery)> {
        let failed_before = self.failed_attempts()?;
        self.mail.set(case.fault);
        let start = self.targets.set(case.failing.clone(), Mode::Fail)?;
        pause(fault)?;
        let end = self.targets.now()?;
        let early = self.mail.accepted();
        self.mail.set(MailFault::None);
        let after_fault = self.wait_for(case, "firing")?;
        pause(AFTERMATH)?;
        report::progress(format!("{}: {early} mails at the end of the fault", case.name));
        self.targets.set(case.failing.clone(), Mode::Answer)?;
        self.wait_for(case, "resolved")?;
        pause(AFTERMATH)?;
        self.seen.extend(self.targets.take()?);
        let delivery = Delivery {
            firing: self.mails_of(case, "firing"),
            resolved: self.mails_of(case, "resolved"),
            after_fault,
            failed_attempts: self.failed_attempts()? - failed_before,
        };
        Ok((start..end, delivery))
    }
}

fn main() -> anyhow::Result<()> {
    serve_if_asked();
    let fault = report::seconds("FALCONER_NOTIFIER_HANG_SECONDS", 30);
    let mut stage = Stage::set()?;
    let (noise, start) = (Noise::listen(), stage.targets.now()?);
    pause(fault)?;
    let before = start..stage.targets.now()?;
    let mut played = Vec::new();
    for case in &CASES {
        let (window, delivery) = stage.play(case, fault)?;
        report::progress(format!("{}: {}", case.name, delivery.figures()));
        played.push((case, window, delivery));
    }
    let repeated = stage.mail.mails().by_message().values().filter(|n| **n > 1).count();
    ensure!(stage.falconer.ended()?.is_none(), "falconer has ended:\n{}", stage.falconer.log());
    let exit = stage.falconer.terminate()?;

    let lateness = |window| stage.seen.lateness(HEALTHY, INTERVAL, window);
    let unhurt = lateness(&before);
    let (mut cases, mut worst, mut all_made) =
        (Map::new(), unhurt.p99(), unhurt.made == unhurt.due);
    for (case, window, delivery) in &played {
        let during = lateness(window);
        worst = worst.max(during.p99());
        all_made &= during.made == during.due;
        let mut figures = delivery.figures();
        figures["lateness"] = during.summary();
        figures["p99_ratio"] = rounded(during.p99() / unhurt.p99(), 3);
        cases.insert(case.name.to_owned(), figures);
    }
    let right = played.iter().all(|(case, _, delivery)| {
        if case.copies_allowed { delivery.none_lost() } else { delivery.all_exactly_once() }
    });
    let mut figures = json!({
        "fault_seconds": fault.as_secs(),
        "targets": COUNT,
        "before": unhurt.summary(),
        "machine": noise.summary(),
        "p99_within_15_ms": worst < P99_LIMIT_MS,
        "p99_ratio_within_1_2": worst <= RATIO_LIMIT * unhurt.p99(),
        "all_due_probes_made": all_made,
        "exactly_once_where_possible_and_none_lost": right,
        "messages_with_copies": repeated,
        "exit_code": exit.code(),
    });
    figures["cases"] = Value::Object(cases);
    report::print("notifier_hang", &figures);
    Ok(())
}

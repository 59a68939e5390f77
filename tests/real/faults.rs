//! What can happen to a Milvus on one machine, and what falconer makes of it.

use std::fs;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::model::Timestamp;
use falconer::sim::smtp::{ReceivedMail, SmtpSink};
use nix::sys::signal::Signal;

use super::laptop::{Laptop, eventually};
use super::running::{Configuration, Running, Seen};

const PROCESS: &str = "standalone";
/// The service as its own health check sees it.
const SERVICE: &str = "milvus";
/// Real queries.
const QUERIES: &str = "queries";
/// For a state that needs a restart of Milvus; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long the own health check of a restarted Milvus blocks at most, and how long collections
/// that were loaded are not; a second restart because of that would come within this time.
const BLOCKED_CHECKS: Duration = Duration::from_secs(33);

/// A fault this soon after a recovery would count as the same trouble come back, which is left to a
/// person: a little more than the configured `recurrence_window`.
const RECURRENCE: Duration = Duration::from_secs(45);

fn is(component: &str, state: &str) -> impl Fn(&Seen) -> bool {
    move |seen| seen.component == component && seen.state == state
}

/// How often falconer has started Milvus, from its own log.
fn starts(laptop: &Laptop, name: &str) -> usize {
    let log = fs::read_to_string(laptop.path(&format!("falconer-{name}.log"))).unwrap_or_default();
    log.lines().filter(|line| line.contains("process started")).count()
}

fn since(from: Timestamp, at: Timestamp) -> String {
    format!("{:5.1} s", at.since(from).as_secs_f64())
}

struct Scene<'a> {
    laptop: &'a Laptop,
    falconer: Running,
    name: &'static str,
    sink: &'a SmtpSink,
    clock: Clock,
}

impl Scene<'_> {
    fn mail(&self, what: &str, from: Timestamp, wanted: impl Fn(&str) -> bool) -> ReceivedMail {
        let mut found = None;
        eventually(what, PATIENCE, || {
            found = self.sink.mails().first(|mail| {
                mail.received_at >= from
                    && mail.subject().contains(PROCESS)
                    && wanted(&mail.subject().to_lowercase())
            });
            found.is_some()
        });
        found.unwrap()
    }

    /// From a fault at `from` to everything well again: unhealthy for one of these reasons, mail,
    /// exactly one restart, healthy, resolved mail, and no second restart while Milvus's own
    /// health check still blocks.
    fn heals(&mut self, fault: &str, from: Timestamp, kinds: &[&str]) {
        let before = starts(self.laptop, self.name);
        let sick = self.falconer.wait_for("unhealthy", from, PATIENCE, |seen| {
            is(PROCESS, "unhealthy")(seen) && kinds.contains(&seen.kind.as_str())
        });
        let alert = self.mail("alert mail", from, |subject| !subject.contains("resolved"));
        let waited = Clock::system();
        while starts(self.laptop, self.name) == before {
            assert!(waited.uptime() < PATIENCE, "never restarted:\n{}", self.falconer.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        let restarted = self.clock.now();
        let well = self.falconer.wait_for("healthy", sick.at, PATIENCE, is(PROCESS, "healthy"));
        let resolved = self.mail("resolved mail", alert.received_at, |s| s.contains("resolved"));
        let answering =
            self.falconer.wait_for("answering", restarted, PATIENCE, is(QUERIES, "healthy"));
        let serving =
            self.falconer.wait_for("serving", restarted, PATIENCE, is(SERVICE, "healthy"));
        while self.clock.now().since(restarted) < BLOCKED_CHECKS
            || self.clock.now().since(well.at) < RECURRENCE
        {
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("{fault}:");
        println!("  unhealthy after {}: {}", since(from, sick.at), sick.text);
        println!("  alert mail      {}: {}", since(from, alert.received_at), alert.subject());
        println!("  new process     {}", since(from, restarted));
        println!("  healthy         {}", since(from, well.at));
        println!("  resolved mail   {}", since(from, resolved.received_at));
        println!("  queries answer  {}", since(from, answering.at));
        println!("  service healthy {}", since(from, serving.at));
        for seen in self.falconer.history().iter().filter(|seen| seen.at >= from) {
            println!(
                "    {} {} {} {} {}",
                since(from, seen.at),
                seen.component,
                seen.state,
                seen.kind,
                seen.text
            );
        }
        assert_eq!(starts(self.laptop, self.name), before + 1, "one restart for one fault");
        let relapsed = self.falconer.first(well.at, is(PROCESS, "unhealthy"));
        assert_eq!(relapsed, None, "it stays healthy while its own health check blocks");
        let slow = self.falconer.first(restarted, is(SERVICE, "degraded"));
        assert!(slow.is_some(), "a health check that blocks is shown");
    }
}

#[test]
fn a_real_milvus_is_watched_and_healed_and_keeps_its_data() {
    let laptop = Laptop::new(&[]);
    let sink = SmtpSink::start().unwrap();
    let clock = Clock::system();
    let configuration = |failure_threshold, on_exit| Configuration {
        failure_threshold,
        on_exit,
        mail_port: sink.address().port(),
        auth: String::new(),
    };

    let begun = clock.now();
    let falconer = Running::start(&laptop, "first", &configuration(3, "leave"));
    let mut scene = Scene { laptop: &laptop, falconer, name: "first", sink: &sink, clock };
    let healthy = scene.falconer.wait_for("healthy", begun, PATIENCE, is(PROCESS, "healthy"));
    println!("start: healthy {}", since(begun, healthy.at));
    let too_early = scene.falconer.first(begun, is(PROCESS, "unhealthy"));
    assert_eq!(too_early, None, "a start takes its time and is no fault");
    let seeded = laptop.seed(None);
    println!("seeded: {seeded:?}");
    let serving = scene.falconer.wait_for("serving", begun, PATIENCE, is(SERVICE, "healthy"));
    println!("service: healthy {}", since(begun, serving.at));

    let fault = clock.now();
    laptop.signal(Signal::SIGSTOP);
    scene.heals("SIGSTOP", fault, &["timeout"]);

    let fault = clock.now();
    laptop.signal(Signal::SIGKILL);
    scene.heals("SIGKILL", fault, &["not_running", "refused"]);

    // The next falconer is patient, and finds the Milvus that this one leaves.
    let pid = laptop.milvus_pid();
    assert_eq!(scene.falconer.terminate(), 0);
    let begun = clock.now();
    let falconer = Running::start(&laptop, "second", &configuration(20, "stop"));
    let mut scene = Scene { laptop: &laptop, falconer, name: "second", sink: &sink, clock };
    let healthy = scene.falconer.wait_for("adopted", begun, PATIENCE, is(PROCESS, "healthy"));
    println!("adopted: healthy {}", since(begun, healthy.at));
    assert_eq!(laptop.milvus_pid(), pid, "adopted, not started beside the running one");
    assert_eq!(starts(&laptop, "second"), 0);

    let fault = clock.now();
    laptop.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(25));
    laptop.signal(Signal::SIGCONT);
    assert_eq!(laptop.milvus_pid(), pid, "nothing has restarted it meanwhile");
    assert_eq!(scene.falconer.first(fault, is(PROCESS, "unhealthy")), None);
    // It has lost its session meanwhile: 2.3.5 goes on half-dead, or panics and ends.
    let kinds = ["status", "reported_unhealthy", "not_running", "refused"];
    scene.heals("SIGSTOP for 25 s", fault, &kinds);

    let mut kept = Err("never asked".to_owned());
    eventually("the collections are loaded again", PATIENCE, || {
        kept = laptop.report(None);
        kept.is_ok()
    });
    let rows = |report: &std::collections::BTreeMap<String, super::laptop::Collection>| {
        report.iter().map(|(name, found)| (name.clone(), found.rows)).collect::<Vec<_>>()
    };
    assert_eq!(rows(&kept.unwrap()), rows(&seeded), "the data is still there");

    let ending = clock.now();
    assert_eq!(scene.falconer.terminate(), 0);
    println!("end: {:.1} s with Milvus", clock.now().since(ending).as_secs_f64());
    assert_eq!(laptop.milvus_pid(), None, "on_exit = stop: Milvus ends with falconer");
}

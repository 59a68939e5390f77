//! SIGTERM to the real process under load: what is to be told is told or logged, what is under way
//! is handed back, and it ends in time.

use std::collections::BTreeMap;
use std::time::Duration;

use falconer::sim::smtp::{ReceivedMail, SmtpBehaviour, SmtpSink};
use falconer::sim::webhook::WebhookSink;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::running::{Falconer, Targets, cluster, prober};

const TARGETS: usize = 200;

/// Hundreds of targets, all about to fail, each told by itself; nobody is told before a minute has
/// passed.
fn configuration(targets: &Targets, mail: &SmtpSink, hook: &WebhookSink, drain: &str) -> String {
    let (port, url) = (mail.address().port(), hook.url("/hook"));
    let mut text = format!(
        "[probers]\ninterval = \"1s\"\nfailure_threshold = 2\n\
         [probers.standalone]\ninterval = \"1h\"\n[probers.milvus]\ninterval = \"1h\"\n\
         [supervisor]\nstartup_grace = \"0s\"\ndrain_timeout = \"{drain}\"\n\
         [alerter]\ngroup_wait = \"1m\"\ngroup_by = [\"component\"]\n\
         [alerter.log]\nenabled = false\n\
         [alerter.email]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
         from = \"falconer@example.com\"\nto = [\"oncall@example.com\"]\n\
         [alerter.webhook.oncall]\nurl = \"{url}\"\nformat = \"falconer\"\n"
    );
    text += &cluster("load", &targets.url("standalone"), "[\"true\"]");
    for number in 0..TARGETS {
        text += &prober(targets, "load", &format!("target-{number}"));
    }
    text
}

fn sick_under_load(targets: &Targets, configuration: &str) -> Falconer {
    let falconer = Falconer::start(configuration, &[]);
    targets.be_sick(true);
    falconer.until("all are sick", || {
        let status = falconer.json("/api/v1/status");
        let alerts = status["alerter"]["alerts"].as_array().map_or(0, Vec::len);
        alerts >= TARGETS
    });
    falconer
}

/// How often each of our targets was told of.
fn told<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for text in texts {
        let Some((_, rest)) = text.split_once("target-") else { continue };
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        *told.entry(number).or_default() += 1;
    }
    told
}

fn assert_each_once(told: &BTreeMap<String, usize>, by: &str) {
    assert_eq!(told.len(), TARGETS, "{by}");
    assert!(told.values().all(|times| *times == 1), "{by}: {told:?}");
}

#[test]
fn everything_that_waits_is_delivered_once_before_the_process_ends() {
    let (targets, mail, hook) =
        (Targets::start(), SmtpSink::start().unwrap(), WebhookSink::start().unwrap());
    let configuration = configuration(&targets, &mail, &hook, "25s");
    let mut falconer = sick_under_load(&targets, &configuration);
    assert_eq!(mail.mails().all().len(), 0, "the group's wait is not over");
    let asked_at = Instant::now();
    falconer.signal(Signal::SIGTERM);
    let status = falconer.wait();
    assert_eq!(status.code(), Some(0), "{}", falconer.log());
    assert!(asked_at.elapsed() < Duration::from_secs(25), "it ends within the grace");
    let subjects: Vec<String> = mail.mails().all().iter().map(ReceivedMail::subject).collect();
    assert_each_once(&told(subjects.iter().map(String::as_str)), "email");
    let requests = hook.requests().all();
    let bodies: Vec<String> = requests
        .iter()
        .map(|request| request.json().expect("JSON")["alerts"][0]["component"].to_string())
        .collect();
    let count = bodies.iter().filter(|body| body.contains("target-")).count();
    assert_eq!(count, TARGETS, "{:?}", bodies.first());
    assert_eq!(falconer.logged(&["alert not delivered before the end"]), Vec::<String>::new());
    // Nothing was probed any more.
    let last = targets.asked("target-0").last().copied().expect("it was probed");
    assert!(last < asked_at + Duration::from_secs(2));
}

#[test]
fn what_a_hanging_mail_server_does_not_take_is_logged_a_line_each_and_holds_up_nobody() {
    let (targets, mail, hook) =
        (Targets::start(), SmtpSink::start().unwrap(), WebhookSink::start().unwrap());
    mail.behave(SmtpBehaviour::Hang);
    let configuration = configuration(&targets, &mail, &hook, "6s");
    let mut falconer = sick_under_load(&targets, &configuration);
    let asked_at = Instant::now();
    falconer.signal(Signal::SIGTERM);
    let status = falconer.wait();
    assert_eq!(status.code(), Some(0), "{}", falconer.log());
    assert!(asked_at.elapsed() < Duration::from_secs(9), "{:?}", asked_at.elapsed());
    let left = falconer.logged(&["ERROR", "alert not delivered before the end", "email"]);
    assert_each_once(&told(left.iter().map(String::as_str)), "log");
    let requests = hook.requests().all();
    let bodies: Vec<String> = requests.iter().filter_map(|r| Some(r.json()?.to_string())).collect();
    let count = bodies.iter().filter(|body| body.contains("target-")).count();
    assert_eq!(count, TARGETS, "the webhook was told of each");
}

#[test]
fn a_restart_under_way_is_handed_back_and_a_second_signal_ends_at_once() {
    let targets = Targets::start();
    let restart = "[\"sleep\", \"2\"]";
    let text = "[probers]\ninterval = \"500ms\"\nfailure_threshold = 2\n\
                [probers.milvus]\ninterval = \"1h\"\n\
                [supervisor]\nstartup_grace = \"0s\"\ndrain_timeout = \"20s\"\n"
        .to_owned()
        + &cluster("load", &targets.url("standalone"), restart);
    targets.be_sick(true);
    let mut falconer = Falconer::start(&text, &[]);
    falconer.until("a restart begins", || !falconer.logged(&["recovery step begins"]).is_empty());
    falconer.signal(Signal::SIGTERM);
    assert_eq!(falconer.wait().code(), Some(0));
    let handed = falconer.logged(&["restart under way is handed back", "standalone", "accepted"]);
    assert_eq!(handed.len(), 1, "{}", falconer.log());

    let mut falconer = Falconer::start(&text.replace("\"2\"", "\"15\""), &[]);
    falconer.until("a restart begins", || !falconer.logged(&["recovery step begins"]).is_empty());
    falconer.signal(Signal::SIGTERM);
    falconer.until("it drains", || !falconer.logged(&["draining"]).is_empty());
    let asked_at = Instant::now();
    falconer.signal(Signal::SIGTERM);
    assert_eq!(falconer.wait().code(), Some(1), "{}", falconer.log());
    assert!(asked_at.elapsed() < Duration::from_secs(3));
}

//! Dozens of components that fail with the etcd that they depend on, in the real process over HTTP:
//! people get one story.

use std::fmt::Write as _;

use falconer::sim::smtp::{ReceivedMail, SmtpSink};
use falconer::sim::webhook::{ReceivedRequest, WebhookSink};
use serde_json::Value;

use crate::running::{Falconer, Targets, cluster, prober};

const TARGETS: usize = 50;

fn configuration(targets: &Targets, mail: &SmtpSink, hook: &WebhookSink) -> String {
    let (port, url) = (mail.address().port(), hook.url("/hook"));
    let mut text = format!(
        "[probers]\ninterval = \"1s\"\nfailure_threshold = 2\nsuccess_threshold = 2\n\
         [probers.standalone]\ninterval = \"1h\"\n[probers.milvus]\ninterval = \"1h\"\n\
         [supervisor]\nstartup_grace = \"0s\"\n\
         [alerter]\ngroup_wait = \"2s\"\ngroup_interval = \"1s\"\n\
         [alerter.log]\nenabled = false\n\
         [alerter.email]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
         from = \"falconer@example.com\"\nto = [\"oncall@example.com\"]\n\
         [alerter.webhook.oncall]\nurl = \"{url}\"\nformat = \"falconer\"\n"
    );
    text += &cluster("load", &targets.url("standalone"), "[\"true\"]").replacen(
        "platform",
        "depends_on = [\"etcd\"]\nplatform",
        1,
    );
    for number in 0..TARGETS {
        text += &prober(targets, "load", &format!("target-{number}"));
    }
    let _ = write!(text, "{}", prober(targets, "load", "etcd"));
    text
}

#[test]
#[allow(clippy::print_stdout, reason = "the figure is what the test is for")]
fn fifty_components_that_fail_with_etcd_are_one_story() {
    let (targets, mail, hook) =
        (Targets::start(), SmtpSink::start().unwrap(), WebhookSink::start().unwrap());
    let falconer = Falconer::start(&configuration(&targets, &mail, &hook), &[]);
    falconer.until("all are probed", || falconer.get("/readyz").0 == 200);
    targets.be_sick(true);
    let open = || {
        let status = falconer.json("/api/v1/alerts");
        status["alerts"].as_array().cloned().unwrap_or_default()
    };
    falconer.until("all are sick and somebody was told", || {
        open().len() > TARGETS && !mail.mails().all().is_empty()
    });
    // Twice the time until something would be told by itself.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let held = |alert: &Value| alert["held"].as_str().is_some_and(|why| why == "etcd is told");
    assert_eq!(open().iter().filter(|alert| held(alert)).count(), TARGETS);
    targets.be_sick(false);
    falconer.until("everything is over", || open().is_empty());

    let subjects: Vec<String> = mail.mails().all().iter().map(ReceivedMail::subject).collect();
    let told: Vec<Value> = hook.requests().all().iter().filter_map(ReceivedRequest::json).collect();
    println!(
        "{TARGETS} components fail with etcd: {} mails, {} webhooks; the reference's rule: \
         {TARGETS} that fire",
        subjects.len(),
        told.len()
    );
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects.iter().all(|subject| subject.contains("etcd is unhealthy")), "{subjects:?}");
    let firsts: Vec<&Value> = told.iter().map(|one| &one["alerts"][0]).collect();
    assert_eq!(firsts.len(), 2, "{told:?}");
    assert_eq!([&firsts[0]["status"], &firsts[1]["status"]], ["firing", "resolved"]);
    assert_eq!(firsts[0]["component"]["component"], "etcd");
    assert!(!firsts[0]["affects"].as_array().expect("a list").is_empty());
    assert_eq!(firsts[0]["look_closer"][0], "falconer explain load/etcd");
    assert_eq!(firsts[0]["seen"][0]["reason"]["kind"], "status");
}

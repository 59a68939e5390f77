//! A real falconer that is killed while its receivers are down: what waited is told once afterwards.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use falconer::sim::smtp::{SmtpBehaviour, SmtpSink};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};
use serde_json::Value;

use crate::running::{Falconer, Targets, cluster};

fn configuration(targets: &Targets, mail: &SmtpSink, hook: &WebhookSink) -> String {
    let cluster = cluster("a", "http://127.0.0.1:1/healthz", "[\"true\"]");
    let (mail, etcd, hook) = (mail.address(), targets.url("etcd"), hook.url("/hook"));
    let (host, port) = (mail.ip(), mail.port());
    format!(
        "{cluster}[supervisor]\nstartup_grace = \"0s\"\n\
         [probers]\ninterval = \"100ms\"\nfailure_threshold = 2\nsuccess_threshold = 2\n\
         [probers.etcd]\nkind = \"http\"\nurl = \"{etcd}\"\n\
         [alerter]\ngroup_wait = \"0s\"\ngroup_interval = \"1s\"\nrepeat_interval = \"1h\"\n\
         [alerter.log]\nenabled = false\n\
         [alerter.email]\nhost = \"{host}\"\nport = {port}\nsecurity = \"none\"\n\
         from = \"falconer@example.com\"\nto = [\"admin@example.com\"]\ntimeout = \"2s\"\n\
         [alerter.webhook.oncall]\nurl = \"{hook}\"\nformat = \"falconer\"\n\
         [recorder]\npath = \"falconer.db\"\n"
    )
}

/// How often the webhook has accepted that something became of `etcd`.
fn accepted(hook: &WebhookSink, status: &str) -> usize {
    let requests = hook.requests().matching(|one| one.answered == 200);
    let alerts = requests.iter().filter_map(|one| Some(one.json()?["alerts"].as_array()?.clone()));
    let is_it =
        |alert: &Value| alert["component"]["component"] == "etcd" && alert["status"] == status;
    alerts.flatten().filter(is_it).count()
}

/// The receivers that lack something about `component`, by the query that people are given.
fn undelivered(falconer: &Falconer, component: &str) -> Vec<String> {
    let (_, folder) = falconer.process();
    let query = include_str!("../../docs/journal.md").lines().find(|line| {
        line.starts_with("SELECT max(id) AS newest") && line.contains("outcome <> 'delivered'")
    });
    let journal = rusqlite::Connection::open(folder.join("falconer.db")).unwrap();
    let mut query = journal.prepare(query.expect("it is documented")).unwrap();
    let rows = query.query_map([], |row| Ok((row.get("receiver")?, row.get("incident")?))).unwrap();
    let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>().unwrap();
    let about = rows.into_iter().filter(|(_, incident)| incident.contains(component));
    about.map(|(receiver, _)| receiver).collect()
}

/// The mails that speak of `etcd`, by the mark that is the same for every attempt.
fn mails(mail: &SmtpSink) -> Vec<String> {
    let about = mail.mails().matching(|one| one.body().contains("etcd"));
    about.iter().map(|one| one.header("message-id").expect("every mail has one")).collect()
}

#[test]
fn killed_three_times_while_its_receivers_are_down_it_tells_everything_once() {
    let (targets, mail, hook) =
        (Targets::start(), SmtpSink::start().unwrap(), WebhookSink::start().unwrap());
    mail.behave(SmtpBehaviour::HangUp);
    hook.answer_with(WebhookAnswer::status(503));
    let mut falconer = Falconer::start(&configuration(&targets, &mail, &hook), &[]);
    targets.be_sick(true);
    for life in 1..=3 {
        falconer.until("it has tried both", || {
            let failed = |receiver| falconer.logged(&["alert not delivered", receiver]).len();
            failed("email") >= life
                && failed("webhook.oncall") >= life
                && !falconer.logged(&["alert raised", "a/etcd"]).is_empty()
        });
        falconer.kill_and_start(&[]);
    }
    assert_eq!((accepted(&hook, "firing"), mails(&mail).len()), (0, 0));
    let lacking = undelivered(&falconer, "a/");
    assert!(["email", "webhook.oncall"].iter().all(|name| lacking.iter().any(|one| one == name)));
    mail.behave(SmtpBehaviour::Accept);
    hook.answer_with(WebhookAnswer::status(200));
    falconer.until("both are told", || accepted(&hook, "firing") > 0 && !mails(&mail).is_empty());
    let told = mails(&mail).len();
    targets.be_sick(false);
    falconer.until("both are told of the end", || {
        accepted(&hook, "resolved") > 0 && mails(&mail).len() > told
    });
    falconer.until("the journal knows", || undelivered(&falconer, "a/etcd").is_empty());
    sleep(Duration::from_secs(2));
    assert_eq!((accepted(&hook, "firing"), accepted(&hook, "resolved")), (1, 1));
    let marks = mails(&mail);
    assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), marks.len(), "{marks:?}");
}

//! `falconer silence` and `falconer alert` against a real falconer that sends real mail.

use std::path::Path;
use std::process::{Command, Output};

use falconer::sim::smtp::SmtpSink;
use serde_json::Value;

use crate::running::{Falconer, Targets, cluster};

const TOKEN: &str = "s3cret";
const ENVIRONMENT: [(&str, &str); 1] = [("FALCONER__SERVER__ADMIN_TOKEN", TOKEN)];

fn configuration(targets: &Targets, mail: &SmtpSink) -> String {
    let cluster = cluster("a", &targets.url("standalone"), "[\"true\"]");
    let (host, port) = (mail.address().ip(), mail.address().port());
    format!(
        "{cluster}[supervisor]\nstartup_grace = \"0s\"\n[probers]\ninterval = \"100ms\"\n\
         [alerter]\ngroup_by = [\"component\"]\ngroup_wait = \"0s\"\nrepeat_interval = \"1h\"\n\
         [alerter.email]\nhost = \"{host}\"\nport = {port}\nsecurity = \"none\"\n\
         from = \"falconer@example.com\"\nto = [\"ada@example.com\"]\n\
         [recoverer]\nenabled = false\n[recorder]\npath = \"falconer.db\"\n"
    )
}

/// One that takes wishes already: before it knows what was, it refuses them.
fn start(targets: &Targets, mail: &SmtpSink) -> Falconer {
    let falconer = Falconer::start(&configuration(targets, mail), &ENVIRONMENT);
    let knows = || !falconer.logged(&["essential state was read"]).is_empty();
    falconer.until("it knows what was", knows);
    falconer
}

/// Runs the command line beside `falconer`, which it finds by `url`.
fn ask(falconer: &Falconer, arguments: &[&str]) -> Output {
    let url = format!("http://{}", falconer.address());
    let folder = falconer.process().1;
    std::fs::write(folder.join("token"), TOKEN).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_falconer"));
    command.args(arguments).args(["--url", &url, "--token-file", "token"]);
    command.current_dir(folder).env("USER", "kim").output().expect("it runs")
}

fn answer(falconer: &Falconer, arguments: &[&str]) -> String {
    let output = ask(falconer, arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

fn refusal(falconer: &Falconer, arguments: &[&str]) -> String {
    let output = ask(falconer, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The open alert about the one component that may be sick or not.
fn alert(falconer: &Falconer) -> Option<Value> {
    let shown = falconer.json("/api/v1/alerts");
    let mut alerts = shown["alerts"].as_array().expect("a list").iter();
    alerts.find(|alert| alert["component"] == "standalone").cloned()
}

fn is_held(falconer: &Falconer) -> bool {
    let held = alert(falconer).and_then(|alert| alert["held"].as_str().map(str::to_owned));
    held.is_some_and(|held| held.contains("(\"new disks\") until"))
}

/// How many mails are about that component.
fn mails(mail: &SmtpSink) -> usize {
    mail.mails().all().iter().filter(|mail| mail.subject().contains("standalone")).count()
}

#[test]
fn what_is_silenced_is_not_mailed_also_after_a_kill_and_is_mailed_when_the_silence_is_ended() {
    let (targets, mail) = (Targets::start(), SmtpSink::start().expect("a mail server"));
    let mut falconer = start(&targets, &mail);
    let wish = "silence add --component standal* --for 1h --by ada --comment";
    let arguments: Vec<&str> = wish.split(' ').chain(["new disks"]).collect();
    let made = answer(&falconer, &arguments);
    assert!(made.contains(" active until ") && made.contains("by ada: new disks"), "{made}");
    let id = made.split(' ').next().expect("an identifier").to_owned();

    targets.be_sick(true);
    falconer.until("the alert is held", || is_held(&falconer));
    falconer.kill_and_start(&ENVIRONMENT);
    falconer.until("the alert is held again", || is_held(&falconer));
    let listed = answer(&falconer, &["silence", "list"]);
    assert!(listed.starts_with(&id), "{listed}");
    let page = falconer.get("/metrics").1;
    assert!(page.contains("falconer_silences_active 1\n"), "{page}");
    assert!(page.contains("falconer_alerts_suppressed{reason=\"silenced\"} 1\n"), "{page}");
    assert_eq!(mails(&mail), 0, "nobody was to be told");

    let ended = answer(&falconer, &["silence", "expire", &id]);
    assert!(ended.contains(" expired ended at ") && ended.contains("kim@"), "{ended}");
    falconer.until("the mail arrives", || mails(&mail) == 1);
    assert_eq!(answer(&falconer, &["silence", "list"]), "there is no silence\n");
    assert!(answer(&falconer, &["silence", "list", "--expired"]).starts_with(&id));
    let again = refusal(&falconer, &["silence", "expire", &id]);
    assert!(again.contains(&format!("silence {id} is over since")), "{again}");
}

/// How often the journal says that a silence ended, and what of it.
fn ends(falconer: &Falconer) -> Vec<(String, String)> {
    let journal = falconer.process().1.join("falconer.db");
    let journal = rusqlite::Connection::open(journal).expect("a journal");
    let query = "SELECT title, words FROM alerts_readable WHERE change = 'expired' ORDER BY time";
    let mut query = journal.prepare(query).expect("a query");
    let rows = query.query_map([], |row| Ok((row.get("title")?, row.get("words")?)));
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

#[test]
fn the_end_of_a_silence_by_its_time_is_in_the_journal_also_after_kills() {
    let (targets, mail) = (Targets::start(), SmtpSink::start().expect("a mail server"));
    let mut falconer = start(&targets, &mail);
    let add = |falconer: &Falconer, span: &str, comment: &str| {
        let wish = ["silence", "add", "--component", "x", "--for", span, "--comment", comment];
        answer(falconer, &wish).split(' ').next().expect("an identifier").to_owned()
    };
    let first = add(&falconer, "1s", "short");
    falconer.until("its end is written down", || ends(&falconer).len() == 1);
    let second = add(&falconer, "1s", "ends meanwhile");
    falconer.kill_and_start(&ENVIRONMENT);
    falconer.until("the other end is written down", || ends(&falconer).len() >= 2);
    falconer.kill_and_start(&ENVIRONMENT);
    falconer.until("it works again", || falconer.get("/readyz").0 == 200);
    // Whoever is killed right after writing it down writes it down again: once at least.
    let mut ends = ends(&falconer);
    ends.dedup();
    assert_eq!(ends.len(), 2, "{ends:?}");
    for ((title, words), id) in ends.iter().zip([first, second]) {
        assert_eq!(*title, format!("silence {id} (component=x)"));
        assert!(words.starts_with("ended by its time, 20"), "{words}");
    }
}

#[test]
fn who_looks_after_an_alert_is_shown_also_after_a_kill() {
    let (targets, mail) = (Targets::start(), SmtpSink::start().expect("a mail server"));
    let mut falconer = start(&targets, &mail);
    let nothing = refusal(&falconer, &["alert", "ack", "standalone", "--comment", "on it"]);
    assert!(nothing.contains("no alert of standalone is open"), "{nothing}");
    targets.be_sick(true);
    falconer.until("the mail arrives", || mails(&mail) == 1);
    falconer.until("it is shown", || alert(&falconer).is_some());
    let done = answer(&falconer, &["alert", "ack", "a/standalone", "--comment", "on it"]);
    assert!(done.starts_with("acknowledged: a/standalone@"), "{done}");
    falconer.kill_and_start(&ENVIRONMENT);
    falconer.until("it is known again", || alert(&falconer).is_some());
    let listed = answer(&falconer, &["alert", "list"]);
    assert!(listed.contains("acknowledged by kim@") && listed.contains(": on it"), "{listed}");
    assert!(listed.contains("told: ") && listed.contains("email"), "{listed}");
}

#[test]
fn whoever_does_not_know_the_token_silences_nothing() {
    let (targets, mail) = (Targets::start(), SmtpSink::start().expect("a mail server"));
    let environment = [("FALCONER__SERVER__ADMIN_TOKEN", "another")];
    let falconer = Falconer::start(&configuration(&targets, &mail), &environment);
    let wish = "silence add --component x --for 1h --comment y";
    let words = refusal(&falconer, &wish.split(' ').collect::<Vec<_>>());
    assert!(words.contains("the token in token is not the running falconer's"), "{words}");
    assert_eq!(falconer.json("/api/v1/silences")["silences"], Value::Array(Vec::new()));
    let folder: &Path = falconer.process().1;
    let about = Command::new(env!("CARGO_BIN_EXE_falconer"))
        .args(["silence", "add", "--for", "1h", "--comment", "y"])
        .current_dir(folder)
        .output()
        .expect("it runs");
    let words = String::from_utf8(about.stderr).expect("text");
    assert!(words.contains("--component, --cluster or --severity"), "{words}");
}

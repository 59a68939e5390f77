//! `falconer alert test`, as a person calls it: against a real mail server, and against others that do
//! not answer.

use std::net::TcpListener;
use std::process::Command;

use falconer::sim::webhook::{ReceivedRequest, WebhookSink};
use tempfile::TempDir;

use super::real_server::{PASSWORD, RealServer};

struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Calls it with this configuration.
fn call(configuration: &str, arguments: &[&str]) -> Printed {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("actors.toml");
    std::fs::write(&file, configuration).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_falconer"))
        .args(["alert", "test", "--config"])
        .arg(&file)
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let printed =
        Printed { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    for stream in [&printed.out, &printed.err] {
        assert!(!stream.contains(PASSWORD) && !stream.contains("s3cret"), "{stream}");
    }
    printed
}

fn mail(server: &RealServer, temper: &str) -> String {
    format!(
        "[alerter.email]\nhost = \"127.0.0.1\"\nport = {}\nusername = \"falconer\"\n\
         password_file = \"{}\"\nca_file = \"{}\"\nfrom = \"alerts@example.com\"\n\
         to = [\"admin@example.com\", \"ops@example.com\"]\nsubject_prefix = \"prod:\"\n",
        server.address(temper).port(),
        server.password_file().display(),
        server.ca_file().display(),
    )
}

#[test]
fn a_receiver_that_works_gets_a_test_and_its_end_and_says_what_it_said() {
    let server = RealServer::start();
    let Printed { code, out, err } = call(&mail(&server, "accept"), &["--to", "email"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("email: the test was accepted after "), "{out}");
    assert!(lines[0].ends_with(": 250 2.0.0 Ok: queued as accept-1"), "{out}");
    assert!(lines[1].ends_with(": 250 2.0.0 Ok: queued as accept-2"), "{out}");
    let mails = server.mails("accept");
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.headers["subject"].as_str()).collect();
    assert_eq!(
        subjects,
        [
            "prod: [WARNING] Milvus Alert: this is a test, nothing is wrong",
            "prod: [RESOLVED] Milvus Alert: this is a test, nothing is wrong"
        ]
    );
    assert_eq!(mails[0].headers["references"], mails[1].headers["references"]);
    assert!(mails[0].parts["text/plain"].contains("Nobody has to do anything."));

    let only = call(
        &mail(&server, "accept"),
        &["--to", "email", "--firing-only", "--severity", "critical"],
    );
    assert_eq!(only.code, Some(0));
    let mails = server.mails("accept");
    assert_eq!(mails.len(), 3);
    assert!(mails[2].headers["subject"].starts_with("prod: [CRITICAL] "));
}

#[test]
fn one_that_does_not_work_says_why_and_which_key_to_look_at() {
    let server = RealServer::start();
    let failing = |temper: &str, change: fn(String) -> String, words: &str, key: &str| {
        let Printed { code, out, .. } =
            call(&change(mail(&server, temper)), &["--to", "email", "--timeout", "2s"]);
        assert_eq!(code, Some(1), "{temper}: {out}");
        assert!(out.contains(words) && out.contains(key), "{temper}: {out}");
        out
    };
    let as_it_is = |text| text;
    let out = failing("no_starttls", as_it_is, "does not offer STARTTLS", "security = \"tls\"");
    assert_eq!(out.lines().count(), 2, "nothing is open there, so nothing is ended: {out}");
    failing("untrusted", as_it_is, "invalid peer certificate", "ca_file = /");
    failing("refuse_sender", as_it_is, "sender: 553", "from = \"alerts@example.com\"");
    failing("refuse_all", as_it_is, "recipient ", "[alerter.email] to");
    failing("hang_ehlo", as_it_is, "greeting: no answer within 2 s", "host, port and timeout");
    failing("refuse_one", as_it_is, ", but refused ops@example.com: 550", "[alerter.email] to");
    let no_ca = |text: String| text.replace("ca_file", "#ca_file");
    failing("accept", no_ca, "invalid peer certificate", "in [alerter.email] ca_file");
    std::fs::write(server.password_file(), "s3cret").unwrap();
    failing("accept", as_it_is, "login: 535", "the password in /");
    assert!(server.mails("accept").is_empty());
}

#[test]
fn all_receivers_are_tried_at_once_and_one_that_hangs_holds_up_none() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = WebhookSink::start().unwrap();
    let configuration = format!(
        "[alerter.webhook.silent]\nurl = \"http://{}/s3cret\"\n\
         [alerter.webhook.oncall]\nurl = \"{}\"\nformat = \"falconer\"\n",
        silent.local_addr().unwrap(),
        hook.url("/hook"),
    );
    let Printed { code, out, err } = call(&configuration, &["--to", "all", "--timeout", "1s"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("webhook.oncall: its end was accepted after "), "{out}");
    assert!(out.contains("log: the test was accepted after "), "{out}");
    assert!(out.contains("webhook.silent: the test was not accepted after "), "{out}");
    assert!(out.contains("look at [alerter.webhook.silent]"), "{out}");
    assert!(err.contains("this is a test, nothing is wrong"), "{err}");
    let told: Vec<_> = hook.requests().all().iter().filter_map(ReceivedRequest::json).collect();
    let statuses: Vec<_> = told.iter().map(|body| body["status"].clone()).collect();
    assert_eq!(statuses, ["firing", "resolved"]);
    assert_eq!(told[0]["thread"], told[1]["thread"]);
}

#[test]
fn a_receiver_that_is_not_set_up_is_a_mistake_in_the_arguments() {
    let Printed { code, out, err } = call("", &["--to", "emial"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("no receiver \"emial\" is set up (there is \"log\")"), "{err}");
    let Printed { code, err, .. } = call("[alerter]\nunknown = 1\n", &["--to", "log"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("unknown key"), "{err}");
}

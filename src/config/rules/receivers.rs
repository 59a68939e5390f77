//! The rules of the receivers that are reached over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::{Judge, check_url, is_loopback, names};
use crate::config::path::KeyPath;
use crate::config::settings::{
    AlertmanagerSettings, PagerDutySettings, SlackSettings, WebhookFormat, WebhookSettings,
};
use crate::effects::notify::webhook::check_template;

/// Receivers of which there is one, as routes name them.
pub(super) const FIXED_RECEIVERS: [&str; 4] = ["email", "slack", "alertmanager", "log"];
/// Labels that falconer gives to alerts itself.
const OWN_LABELS: [&str; 4] = ["alertname", "cluster", "component", "severity"];
/// The longest time between two messages to an Alertmanager about what still fires.
const LONGEST_RESEND: Duration = Duration::from_hours(1);

pub(super) fn judge(judge: &mut Judge<'_>, path: &KeyPath) {
    let alerter = &judge.settings.alerter;
    if !alerter.external_url.is_empty() {
        judge.url(&path.key("external_url"), &alerter.external_url, &["http", "https"]);
    }
    slack(judge, &path.key("slack"), &alerter.slack);
    alertmanager(judge, &path.key("alertmanager"), &alerter.alertmanager);
    let mut taken: BTreeSet<&str> = FIXED_RECEIVERS.into();
    for (name, settings) in &alerter.pagerduty {
        let path = path.key("pagerduty").key(name);
        unambiguous(judge, &path, name, &mut taken);
        pagerduty(judge, &path, settings);
    }
    for (name, settings) in &alerter.webhook {
        let path = path.key("webhook").key(name);
        unambiguous(judge, &path, name, &mut taken);
        webhook(judge, &path, settings);
    }
}

/// What works, but not as it was meant, or less safely.
pub(super) fn warn(judge: &mut Judge<'_>) {
    let (path, alerter) = (KeyPath::of(&["alerter"]), &judge.settings.alerter);
    for (name, unset, what) in [
        (
            "slack",
            !alerter.slack.is_set(),
            "has neither \"webhook_url_file\" nor \"bot_token_file\"",
        ),
        ("alertmanager", !alerter.alertmanager.is_set(), "has no \"urls\""),
    ] {
        let path = path.key(name);
        if unset && judge.origins.is_set(&path) {
            judge.table(&path, format!("{what}, so nothing is sent there"));
        }
    }
    let what = "is http:// beyond this machine: what falconer logs in with can be read on the way";
    let is_open = |url: &str| url.starts_with("http://") && !is_to_loopback(url);
    let alertmanager = &alerter.alertmanager;
    for (index, url) in alertmanager.urls.iter().enumerate() {
        if alertmanager.has_login() && is_open(url) {
            judge.value(&path.key("alertmanager").key("urls").index(index), what);
        }
    }
    for (name, webhook) in &alerter.webhook {
        if !webhook.secret_headers.is_empty() && is_open(&webhook.url) {
            judge.value(&path.key("webhook").key(name).key("url"), what);
        }
    }
}

/// Routes name receivers by their short names.
fn unambiguous<'a>(
    judge: &mut Judge<'_>,
    path: &KeyPath,
    name: &'a str,
    taken: &mut BTreeSet<&'a str>,
) {
    names::made_up(judge, path, name);
    if !taken.insert(name) {
        judge.table(path, "has the name of another receiver, so no route could name it");
    }
}

fn slack(judge: &mut Judge<'_>, path: &KeyPath, slack: &SlackSettings) {
    if slack.webhook_url_file.is_set() && slack.bot_token_file.is_set() {
        judge.value(&path.key("bot_token_file"), "cannot be combined with \"webhook_url_file\"");
    }
    if slack.bot_token_file.is_set() && slack.channel.is_empty() {
        judge.lacks(path, &["channel"], "has a bot and needs \"channel\"");
    }
    if !slack.bot_token_file.is_set() && !slack.channel.is_empty() {
        let what =
            "needs \"bot_token_file\" beside it: an incoming webhook has a channel of its own";
        judge.value(&path.key("channel"), what);
    }
    if slack.channel.contains(|c: char| c.is_whitespace() || c.is_control()) {
        judge.value(&path.key("channel"), "is not a channel's name or identifier");
    }
    confidential(judge, &path.key("api_url"), &slack.api_url);
}

fn pagerduty(judge: &mut Judge<'_>, path: &KeyPath, pagerduty: &PagerDutySettings) {
    if !pagerduty.routing_key_file.is_set() {
        judge.lacks(path, &["routing_key_file"], "needs \"routing_key_file\"");
    }
    confidential(judge, &path.key("url"), &pagerduty.url);
}

fn alertmanager(judge: &mut Judge<'_>, path: &KeyPath, alertmanager: &AlertmanagerSettings) {
    judge.name_list(&path.key("urls"), &alertmanager.urls);
    for (index, url) in alertmanager.urls.iter().enumerate() {
        judge.url(&path.key("urls").index(index), url, &["http", "https"]);
    }
    let (resend, shortest) = (path.key("resend_every"), Duration::from_secs(5));
    judge.duration(&resend, alertmanager.resend_every, shortest, LONGEST_RESEND);
    if alertmanager.username.is_empty() == alertmanager.password_file.is_set() {
        let (is, lacks) = if alertmanager.username.is_empty() {
            ("password_file", "username")
        } else {
            ("username", "password_file")
        };
        judge.value(&path.key(is), format!("needs \"{lacks}\" beside it"));
    }
    if alertmanager.token_file.is_set() && !alertmanager.username.is_empty() {
        judge.value(&path.key("token_file"), "cannot be combined with \"username\"");
    }
    for label in alertmanager.labels.keys() {
        let path = path.key("labels").key(label);
        if OWN_LABELS.contains(&label.as_str()) {
            judge.value(&path, "is a label that falconer sets itself");
        } else if !is_label(label) {
            judge.value(&path, "is not a label: letters, digits and _ only, no digit first");
        }
    }
}

fn is_label(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn webhook(judge: &mut Judge<'_>, path: &KeyPath, webhook: &WebhookSettings) {
    match (webhook.url.is_empty(), webhook.url_file.is_set()) {
        (true, false) => judge.lacks(path, &["url", "url_file"], "needs \"url\" or \"url_file\""),
        (false, true) => judge.value(&path.key("url_file"), "cannot be combined with \"url\""),
        (false, false) => judge.url(&path.key("url"), &webhook.url, &["http", "https"]),
        (true, true) => {}
    }
    for (header, value) in &webhook.headers {
        let value_is_fine = HeaderValue::from_str(value.expose()).is_ok();
        if !is_header(header) || !value_is_fine {
            judge.value(&path.key("headers").key(header), "is not an HTTP header");
        }
    }
    for (header, value) in &webhook.secret_headers {
        let path = path.key("secret_headers").key(header);
        if !is_header(header) || !value.is_set() {
            judge.value(&path, "is not an HTTP header and its file");
        }
        if webhook.headers.keys().any(|other| other.eq_ignore_ascii_case(header)) {
            judge.value(&path, "is in \"headers\" too");
        }
    }
    template(judge, path, webhook);
}

fn is_header(name: &str) -> bool {
    // What falconer sets itself would be there twice.
    HeaderName::from_bytes(name.as_bytes()).is_ok() && !name.eq_ignore_ascii_case("content-type")
}

fn template(judge: &mut Judge<'_>, path: &KeyPath, webhook: &WebhookSettings) {
    let is_named = !webhook.template_file.as_os_str().is_empty();
    let keys = [
        ("template", !webhook.template.is_empty()),
        ("template_file", is_named),
        ("content_type", webhook.content_type != WebhookSettings::default().content_type),
    ];
    match webhook.format {
        WebhookFormat::Alertmanager | WebhookFormat::Falconer => {
            for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
                judge.value(&path.key(key), "needs format = \"template\" beside it");
            }
        }
        WebhookFormat::Template => {
            let content_type = &webhook.content_type;
            if HeaderValue::from_str(content_type).is_err() || !content_type.contains('/') {
                judge.value(&path.key("content_type"), "is not a content type");
            }
            match (webhook.template.is_empty(), is_named) {
                (true, false) => {
                    let keys = ["template", "template_file"];
                    judge.lacks(path, &keys, "needs \"template\" or \"template_file\"");
                }
                (false, true) => {
                    let what = "cannot be combined with \"template\"";
                    judge.value(&path.key("template_file"), what);
                }
                (false, false) => {
                    if let Err(error) = check_template(&webhook.template, content_type) {
                        judge.value(&path.key("template"), format!("does not work: {error}"));
                    }
                }
                (true, true) => {}
            }
        }
    }
}

/// A secret goes to `url`: over TLS, or not beyond this machine.
fn confidential(judge: &mut Judge<'_>, path: &KeyPath, url: &str) {
    if let Err(why) = check_url(url, &["http", "https"]) {
        judge.value(path, why);
    } else if !url.starts_with("https://") && !is_to_loopback(url) {
        judge.value(path, "must begin with https:// (http:// only to this machine)");
    }
}

/// Whether `url` leads to this machine.
pub(super) fn is_to_loopback(url: &str) -> bool {
    let url = reqwest::Url::parse(url);
    url.is_ok_and(|url| url.host_str().is_some_and(is_loopback))
}

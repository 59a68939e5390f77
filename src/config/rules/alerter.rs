//! The rules of `[alerter]` and its receivers.

use std::time::Duration;

use lettre::message::Mailbox;

use super::receivers::{self, FIXED_RECEIVERS};
use super::{Judge, LONGEST_INTERVAL, LONGEST_TIMEOUT, is_loopback, respawn, routes};
use crate::config::path::KeyPath;
use crate::config::settings::{EmailSettings, EscalationSettings, MailSecurity};
use crate::config::wording::{did_you_mean, list};

/// More levels of escalation are a slip.
const MOST_LEVELS: usize = 10;
/// What every subject begins with, in bytes.
const LONGEST_PREFIX: usize = 60;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let alerter = &judge.settings.alerter;
    let path = KeyPath::of(&["alerter"]);
    let shortest = Duration::from_secs(1);
    judge.duration(
        &path.key("repeat_interval"),
        alerter.repeat_interval,
        shortest,
        LONGEST_INTERVAL * 7,
    );
    judge.duration(&path.key("group_wait"), alerter.group_wait, Duration::ZERO, LONGEST_INTERVAL);
    judge.duration(
        &path.key("group_interval"),
        alerter.group_interval,
        Duration::ZERO,
        LONGEST_INTERVAL,
    );
    let dead_after = path.key("receiver_dead_after");
    judge.duration(&dead_after, alerter.receiver_dead_after, shortest, LONGEST_INTERVAL);
    names_of_receivers(judge, &path.key("always_firing_to"), &alerter.always_firing_to);
    respawn::limit(judge, &path.key("respawn"), alerter.respawn);
    if alerter.email.is_set() {
        email(judge, &path.key("email"), &alerter.email);
    }
    receivers::judge(judge, &path);
    routes::judge(judge, &path);
    escalation(judge, &path.key("escalation"), &alerter.escalation);
}

fn email(judge: &mut Judge<'_>, path: &KeyPath, email: &EmailSettings) {
    if email.host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        judge.value(&path.key("host"), "is not a host name");
    }
    judge.number(&path.key("port"), email.port, 1, u16::MAX);
    if email.from.is_empty() {
        judge.lacks(path, &["from"], "has a host and needs \"from\"");
    } else {
        mailbox(judge, &path.key("from"), &email.from);
    }
    if email.to.is_empty() {
        judge.lacks(path, &["to"], "has a host and needs \"to\"");
    }
    judge.unique(&path.key("to"), &email.to, |address| format!("{address:?}"));
    for (index, address) in email.to.iter().enumerate() {
        mailbox(judge, &path.key("to").index(index), address);
    }
    if !email.reply_to.is_empty() {
        mailbox(judge, &path.key("reply_to"), &email.reply_to);
    }
    if email.subject_prefix.len() > LONGEST_PREFIX
        || email.subject_prefix.contains(char::is_control)
    {
        let what = format!("must be one line of at most {LONGEST_PREFIX} bytes");
        judge.value(&path.key("subject_prefix"), what);
    }
    if email.security == MailSecurity::None && !is_loopback(&email.host) {
        let host = &email.host;
        judge.value(
            &path.key("security"),
            format!("may be \"none\" only to this machine (loopback), not to {host:?}"),
        );
    }
    if !email.username.is_empty() && !email.password_file.is_set() {
        judge.value(&path.key("username"), "needs \"password_file\" beside it");
    }
    if email.password_file.is_set() && email.username.is_empty() {
        judge.value(&path.key("password_file"), "needs \"username\" beside it");
    }
    judge.duration(&path.key("timeout"), email.timeout, Duration::from_millis(1), LONGEST_TIMEOUT);
}

fn mailbox(judge: &mut Judge<'_>, path: &KeyPath, text: &str) {
    if text.parse::<Mailbox>().is_err() {
        judge.value(path, format!("is not a mail address: {text:?}"));
    }
}

/// Levels come one after the other.
fn escalation(judge: &mut Judge<'_>, path: &KeyPath, levels: &[EscalationSettings]) {
    if levels.len() > MOST_LEVELS {
        judge.value(path, format!("has {} levels, at most {MOST_LEVELS} are taken", levels.len()));
    }
    for (index, level) in levels.iter().take(MOST_LEVELS).enumerate() {
        let (path, before) = (path.index(index), index.checked_sub(1));
        let (shortest, after) = (Duration::from_secs(1), path.key("after"));
        judge.duration(&after, level.after, shortest, LONGEST_INTERVAL * 7);
        if before.is_some_and(|before| levels[before].after >= level.after) {
            judge.value(&after, "must be longer than that of the level before");
        }
        receivers(judge, &path.key("to"), &level.to);
    }
}

/// A list of receivers.
pub(super) fn receivers(judge: &mut Judge<'_>, to: &KeyPath, named: &[String]) {
    if named.is_empty() {
        judge.value(to, "must name a receiver");
    }
    names_of_receivers(judge, to, named);
}

fn names_of_receivers(judge: &mut Judge<'_>, to: &KeyPath, named: &[String]) {
    judge.unique(to, named, |receiver| format!("{receiver:?}"));
    let alerter = &judge.settings.alerter;
    let receivers = alerter.receivers();
    for (index, name) in named.iter().enumerate() {
        let is_full_name = match name.split_once('.') {
            Some(("webhook", short)) => alerter.webhook.contains_key(short),
            Some(("pagerduty", short)) => alerter.pagerduty.contains_key(short),
            Some(_) | None => false,
        };
        if is_full_name || receivers.contains(&name.as_str()) {
            continue;
        }
        let what = if FIXED_RECEIVERS.contains(&name.as_str()) {
            format!("names {name:?}, but [alerter.{name}] is not set up")
        } else {
            let hint = did_you_mean(name, receivers.iter().copied());
            let known = list(receivers.iter().copied());
            format!("names the unknown receiver {name:?} (there is {known}){hint}")
        };
        judge.value(&to.index(index), what);
    }
}

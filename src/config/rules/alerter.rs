//! The rules of `[alerter]` and its receivers.

use std::time::Duration;

use lettre::message::Mailbox;

use super::receivers::{self, FIXED_RECEIVERS};
use super::{Judge, LONGEST_INTERVAL, LONGEST_TIMEOUT, is_loopback, respawn};
use crate::config::path::KeyPath;
use crate::config::settings::{EmailSettings, MailSecurity, Route};
use crate::config::wording::{did_you_mean, list};

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
    respawn::limit(judge, &path.key("respawn"), alerter.respawn);
    if alerter.email.is_set() {
        email(judge, &path.key("email"), &alerter.email);
    }
    receivers::judge(judge, &path);
    for (index, route) in alerter.routes.iter().enumerate() {
        self::route(judge, &path.key("routes").index(index), route);
    }
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

fn route(judge: &mut Judge<'_>, path: &KeyPath, route: &Route) {
    let to = path.key("to");
    if route.to.is_empty() {
        judge.value(&to, "must name a receiver");
    }
    judge.unique(&to, &route.to, |receiver| format!("{receiver:?}"));
    let alerter = &judge.settings.alerter;
    let receivers = alerter.receivers();
    for (index, name) in route.to.iter().enumerate() {
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

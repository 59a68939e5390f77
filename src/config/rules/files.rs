//! Files that the configuration names must be there and be what they are for. Owns that check;
//! what they hold never reaches a message.

use std::path::Path;

use super::{Judge, check_url};
use crate::config::origins::Origins;
use crate::config::path::KeyPath;
use crate::config::problem::Problem;
use crate::config::settings::{ClusterSettings, Platform, Settings, WebhookSettings};
use crate::effects::cluster::kube::kubeconfig;
use crate::effects::notify::webhook::{TEMPLATE_LIMIT, check_template};
use crate::effects::secret::SecretFile;
use crate::effects::small_file;

/// Every named file that cannot be used.
pub(crate) fn unreadable_files(settings: &Settings, origins: &Origins) -> Vec<Problem> {
    let mut judge = Judge { settings, origins, left_out: &[], problems: Vec::new() };
    for (name, cluster) in &settings.clusters {
        let path = KeyPath::of(&["clusters", name]);
        kubeconfig(&mut judge, &path.key("kubeconfig"), cluster);
        let (path, auth) = (path.key("auth"), &cluster.auth);
        secret(&mut judge, &path.key("password_file"), &auth.password_file);
        secret(&mut judge, &path.key("token_file"), &auth.token_file);
        plain(&mut judge, &path.key("tls_ca_file"), &auth.tls_ca_file);
    }
    let alerter = KeyPath::of(&["alerter"]);
    let email = alerter.key("email");
    if settings.alerter.email.is_set() {
        secret(&mut judge, &email.key("password_file"), &settings.alerter.email.password_file);
        plain(&mut judge, &email.key("ca_file"), &settings.alerter.email.ca_file);
    }
    receivers(&mut judge, &alerter);
    let heartbeat = KeyPath::of(&["heartbeat"]);
    secret_url(&mut judge, &heartbeat.key("url_file"), &settings.heartbeat.url_file);
    plain(&mut judge, &heartbeat.key("ca_file"), &settings.heartbeat.ca_file);
    let token = KeyPath::of(&["server", "admin_token_file"]);
    secret(&mut judge, &token, &settings.server.admin_token_file);
    judge.problems
}

/// The files of the receivers that are reached over HTTP.
fn receivers(judge: &mut Judge<'_>, alerter: &KeyPath) {
    let settings = &judge.settings.alerter;
    let slack = alerter.key("slack");
    secret_url(judge, &slack.key("webhook_url_file"), &settings.slack.webhook_url_file);
    secret(judge, &slack.key("bot_token_file"), &settings.slack.bot_token_file);
    let (path, alertmanager) = (alerter.key("alertmanager"), &settings.alertmanager);
    secret(judge, &path.key("password_file"), &alertmanager.password_file);
    secret(judge, &path.key("token_file"), &alertmanager.token_file);
    plain(judge, &path.key("ca_file"), &alertmanager.ca_file);
    for (name, pagerduty) in &settings.pagerduty {
        let path = alerter.key("pagerduty").key(name).key("routing_key_file");
        secret(judge, &path, &pagerduty.routing_key_file);
    }
    for (name, webhook) in &settings.webhook {
        let path = alerter.key("webhook").key(name);
        secret_url(judge, &path.key("url_file"), &webhook.url_file);
        for (header, file) in &webhook.secret_headers {
            secret(judge, &path.key("secret_headers").key(header), file);
        }
        plain(judge, &path.key("ca_file"), &webhook.ca_file);
        template(judge, &path.key("template_file"), webhook);
    }
}

/// A kubeconfig must not only be there but lead to an API, where it is used.
fn kubeconfig(judge: &mut Judge<'_>, path: &KeyPath, cluster: &ClusterSettings) {
    let ClusterSettings { kubeconfig: file, context, platform, .. } = cluster;
    let is_there = plain(judge, path, file);
    if is_there
        && *platform == Platform::Kubernetes
        && let Err(why) = kubeconfig::check(file, context)
    {
        judge.value(path, format!("cannot be used: {}: {why}", file.display()));
    }
}

/// A template must not only be there but work.
fn template(judge: &mut Judge<'_>, path: &KeyPath, webhook: &WebhookSettings) {
    let file = &webhook.template_file;
    if file.as_os_str().is_empty() {
        return;
    }
    let text = small_file::read_now(file, TEMPLATE_LIMIT).map_err(|error| error.to_string());
    let text = text.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "not UTF-8 text".into()));
    if let Err(why) = text.and_then(|text| check_template(&text, &webhook.content_type)) {
        judge.value(path, format!("cannot be used: {}: {why}", file.display()));
    }
}

fn secret(judge: &mut Judge<'_>, path: &KeyPath, file: &SecretFile) {
    if file.is_set()
        && let Err(error) = file.read_now()
    {
        judge.value(path, format!("cannot be used: {error}"));
    }
}

fn secret_url(judge: &mut Judge<'_>, path: &KeyPath, file: &SecretFile) {
    if !file.is_set() {
        return;
    }
    match file.read_now() {
        Err(error) => judge.value(path, format!("cannot be used: {error}")),
        Ok(url) if check_url(&url, &["http", "https"]).is_err() => {
            let file = file.path().display();
            judge.value(path, format!("cannot be used: {file} does not hold a URL"));
        }
        Ok(_) => {}
    }
}

/// Whether a file is named and is there.
fn plain(judge: &mut Judge<'_>, path: &KeyPath, file: &Path) -> bool {
    if file.as_os_str().is_empty() {
        return false;
    }
    let why = match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => return true,
        Ok(_) => format!("{} is not a file", file.display()),
        Err(error) => format!("cannot read {}: {error}", file.display()),
    };
    judge.value(path, format!("cannot be used: {why}"));
    false
}

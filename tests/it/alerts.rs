//! Alerts over real sockets: mail servers, webhooks, Slack, PagerDuty and Alertmanager, kind and
//! unkind ones.

mod alertmanager;
mod delivery;
mod fixtures;
mod mail;
mod mail_tls;
mod pagerduty;
mod slack;
mod templates;
mod webhooks;

//! Alerts over real sockets: mail servers, webhooks, Slack, PagerDuty and Alertmanager, kind and
//! unkind ones.

mod alertmanager;
mod delivery;
mod fixtures;
mod mail;
mod mail_tls;
mod pagerduty;
mod real_server;
mod real_smtp;
mod slack;
mod templates;
mod trying;
mod webhooks;

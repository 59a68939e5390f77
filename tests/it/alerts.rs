//! Alerts over real sockets: mail servers and webhooks, kind and unkind ones.

mod delivery;
mod fixtures;
mod mail;
mod mail_tls;
mod real_server;
mod real_smtp;
mod trying;
mod webhooks;

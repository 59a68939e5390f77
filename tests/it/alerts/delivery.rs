//! The alerter itself with its real receivers, in real time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use falconer::actors::alerter::{
    Alerter, AlerterInbox, AlerterParts, AlerterSettings, Drain, RaiseAlert, ReceiverSnapshot,
    ResolveAlert,
};
use falconer::actors::status::StatusBoard;
use falconer::clock::Clock;
use falconer::effects::Notifier;
use falconer::effects::journal::MemoryJournal;
use falconer::effects::notify::{EmailNotifier, LogNotifier, WebhookNotifier, WebhookSettings};
use falconer::metrics::Metrics;
use falconer::model::{AlertMessage, IncidentId, Severity};
use falconer::policy::notification::{Alert, AlertBook};
use falconer::sim::smtp::{ReceivedMail, SmtpBehaviour, SmtpSink};
use falconer::sim::webhook::{WebhookAnswer, WebhookSink};

use super::fixtures::{email, notification};

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    mail: SmtpSink,
    hook: WebhookSink,
    pub(super) inbox: AlerterInbox,
    board: StatusBoard,
    clock: Clock,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self {
            mail: SmtpSink::start().unwrap(),
            hook: WebhookSink::start().unwrap(),
            inbox: AlerterInbox::default(),
            board: StatusBoard::default(),
            clock: Clock::system(),
        }
    }

    fn alerter(&self) -> Addr<Alerter> {
        let hook = WebhookSettings::new("oncall", self.hook.url("/hook"));
        let receivers: Vec<Arc<dyn Notifier>> = vec![
            Arc::new(EmailNotifier::new(email(self.mail.address())).unwrap()),
            Arc::new(WebhookNotifier::new(hook).unwrap()),
            Arc::new(LogNotifier),
        ];
        self.alerter_with(receivers)
    }

    pub(super) fn alerter_with(&self, receivers: Vec<Arc<dyn Notifier>>) -> Addr<Alerter> {
        let soon = Duration::from_millis(20);
        let mut settings =
            AlerterSettings { group_wait: soon, group_interval: soon, ..Default::default() };
        settings.backoff.initial = Duration::from_millis(50);
        let book = Arc::new(Mutex::new(AlertBook::default()));
        let parts = AlerterParts {
            keeper: falconer::actors::keeper::StateKeeper::default(),
            inbox: self.inbox.clone(),
            book,
            silences: Arc::default(),
            board: self.board.clone(),
            journal: Arc::new(MemoryJournal::default()),
            clock: self.clock,
            metrics: Metrics::default(),
        };
        let alerter = Alerter::new(settings, receivers, parts);
        let address = alerter.start();
        self.inbox.publish(&address);
        address
    }

    pub(super) fn raise(&self) -> RaiseAlert {
        let AlertMessage { incident, component, title, reason, details, .. } = notification().lead;
        let (severity, started_at) = (Severity::Critical, self.clock.now());
        let action = String::new();
        RaiseAlert(Alert {
            incident,
            component,
            severity,
            title,
            reason,
            details,
            action,
            causes: vec![],
            suspicion: None,
            settle_secs: 0,
            affects: Vec::new(),
            seen: Vec::new(),
            look_closer: Vec::new(),
            is_flapping: false,
            started_at,
        })
    }

    pub(super) fn resolve(&self) -> ResolveAlert {
        ResolveAlert { incident: incident(), ended_at: self.clock.now() }
    }

    /// Waits until this receiver is shown like this.
    pub(super) async fn shown(&self, receiver: &str, like: impl Fn(&ReceiverSnapshot) -> bool) {
        let showing = async {
            while !self.board.snapshot().alerter.receivers.get(receiver).is_some_and(&like) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, showing).await.expect("it is shown");
    }

    /// Waits until an attempt at this receiver has failed.
    pub(super) async fn failed(&self, receiver: &str) {
        self.shown(receiver, |one| one.state.last_error.is_some()).await;
    }

    async fn mail(&self, subject: &str) -> ReceivedMail {
        let found = self.mail.mails().wait_for(PATIENCE, |mail| mail.subject().contains(subject));
        found.await.expect("a mail arrives")
    }
}

fn incident() -> IncidentId {
    notification().lead.incident
}

#[test]
fn a_mail_refused_for_now_is_retried_and_arrives_once() {
    System::new().block_on(async {
        let stage = Stage::new();
        stage.mail.behave(SmtpBehaviour::RejectRecipients("451 4.3.0 try again later".into()));
        let _alerter = stage.alerter();
        stage.inbox.raise.send(stage.raise());
        stage.failed("email").await;
        stage.mail.behave(SmtpBehaviour::Accept);
        stage.mail("[CRITICAL] Milvus Alert: querynode is unhealthy").await;
        stage.inbox.resolve.send(stage.resolve());
        let resolved = stage.mail("[RESOLVED] Milvus Alert: querynode is unhealthy").await;
        assert!(resolved.body().contains("Lasted:"), "{}", resolved.body());
        assert_eq!(stage.mail.mails().len(), 2);
        let firing = &stage.mail.mails().all()[0];
        assert_eq!(firing.header("references"), resolved.header("references"));
        assert_ne!(firing.header("message-id"), resolved.header("message-id"));
    });
}

#[test]
fn a_webhook_that_answers_500_and_then_200_is_told_once() {
    System::new().block_on(async {
        let stage = Stage::new();
        stage.hook.answer_with(WebhookAnswer::status(500));
        let alerter = stage.alerter();
        stage.inbox.raise.send(stage.raise());
        stage.failed("webhook.oncall").await;
        stage.hook.answer_with(WebhookAnswer::status(200));
        let told = stage.hook.requests().wait_for(PATIENCE, |request| request.answered == 200);
        let told = told.await.unwrap();
        assert_eq!(told.json().unwrap()["status"], "firing");
        alerter.send(Drain { deadline: PATIENCE }).await.unwrap();
        let accepted = stage.hook.requests().matching(|request| request.answered == 200);
        assert_eq!(accepted.len(), 1);
    });
}

#[test]
fn a_mail_server_that_hangs_does_not_slow_the_webhook() {
    System::new().block_on(async {
        let stage = Stage::new();
        stage.mail.behave(SmtpBehaviour::Hang);
        let _alerter = stage.alerter();
        stage.inbox.raise.send(stage.raise());
        stage.hook.requests().wait_for(PATIENCE, |_| true).await.unwrap();
        stage.inbox.resolve.send(stage.resolve());
        let resolved = stage.hook.requests().wait_for(PATIENCE, |request| {
            request.json().is_some_and(|body| body["status"] == "resolved")
        });
        resolved.await.unwrap();
        stage.shown("email", |one| one.in_flight).await;
        assert!(stage.mail.mails().is_empty());
    });
}

#[test]
fn a_drain_gets_the_waiting_mail_out() {
    System::new().block_on(async {
        let stage = Stage::new();
        stage.mail.behave(SmtpBehaviour::HangUp);
        let alerter = stage.alerter();
        stage.inbox.raise.send(stage.raise());
        stage.failed("email").await;
        stage.mail.behave(SmtpBehaviour::Accept);
        alerter.send(Drain { deadline: PATIENCE }).await.unwrap();
        assert_eq!(stage.mail.mails().len(), 1);
    });
}

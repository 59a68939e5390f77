//! The decision of each state at each instant.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Acknowledgement, ComponentId, IncidentId, Reason, ReasonKind, Severity};
use crate::policy::notification::{Alert, HoldKind, Resolution};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_767_225_600 + seconds) * 1_000)
}

fn ended(seconds: u64) -> Resolution {
    Resolution { ended_at: at(seconds), seen_at: at(seconds) }
}

fn told() -> Told {
    Told {
        at: at(5),
        severity: Severity::Warning,
        called_at: None,
        changed_at: None,
        is_outdated: false,
    }
}

fn draft() -> Draft {
    Draft {
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        made_at: at(5),
        called_at: None,
        changed_at: None,
        is_digest: false,
        is_void: false,
    }
}

fn waiting() -> Delivery {
    Delivery::Waiting { due: at(5) }
}

fn delivered() -> Delivery {
    Delivery::Delivered { told: told() }
}

fn sending() -> Delivery {
    Delivery::Sending { draft: draft(), failures: 0, since: at(5), told: None, is_last: false }
}

fn retrying(is_told: bool) -> Delivery {
    Delivery::Retrying {
        draft: draft(),
        failures: 1,
        failed_at: at(10),
        retry_at: at(20),
        error: "connection refused".into(),
        told: is_told.then(told),
        is_last: false,
    }
}

/// A warning that goes on, in a group that flushes at 5, 65, 125 …, told at 5.
struct Scene {
    open: OpenAlert,
    group: Group,
    hold: Option<Hold>,
    policy: ReceiverPolicy,
    settings: NotificationSettings,
    pace: Pace,
}

impl Scene {
    fn new() -> Self {
        let component = ComponentId::new("milvus-ha", "proxy");
        let alert = Alert {
            incident: IncidentId::new(&component, at(0)),
            component,
            severity: Severity::Warning,
            title: "proxy is unhealthy".into(),
            reason: Reason::new(ReasonKind::Timeout, "no answer"),
            details: Vec::new(),
            action: String::new(),
            causes: Vec::new(),
            suspicion: None,
            settle_secs: 0,
            affects: Vec::new(),
            seen: Vec::new(),
            look_closer: Vec::new(),
            is_flapping: false,
            started_at: at(0),
        };
        let settings = NotificationSettings::default();
        let group = Group {
            labels: BTreeMap::new(),
            base: at(5),
            told_at: Some(at(5)),
            reminders: 0,
            thread: None,
            reference: None,
            timing: Some(settings.timing()),
            reminds_since: Some(at(5)),
        };
        Self {
            open: OpenAlert::new(alert, at(0)),
            group,
            hold: None,
            policy: ReceiverPolicy::default(),
            settings,
            pace: Pace::Normal,
        }
    }

    fn judge(&self, delivery: &Delivery, now: u64) -> NotificationDecision {
        Case {
            open: &self.open,
            delivery,
            held: self.hold.as_ref(),
            group: &self.group,
            policy: self.policy,
            moment: Moment { settings: &self.settings, pace: self.pace, now: at(now) },
        }
        .decide()
    }
}

#[test]
fn each_state_has_its_decision_at_each_instant() {
    use AlertStatus::{Firing, Resolved};
    let table = [
        (waiting(), None, 4, wait(at(5), WaitReason::GroupWait)),
        (waiting(), None, 5, send(Firing, SendReason::First)),
        (Delivery::Waiting { due: at(65) }, None, 6, wait(at(65), WaitReason::GroupInterval)),
        (waiting(), Some(ended(4)), 4, close(CloseReason::NeverSent)),
        (waiting(), Some(ended(4)), 60, close(CloseReason::NeverSent)),
        (waiting(), Some(ended(6)), 6, send(Resolved, SendReason::WholeStory)),
        (sending(), None, 35, wait(at(36), WaitReason::InFlight)),
        (sending(), None, 36, send(Firing, SendReason::Abandoned)),
        (sending(), Some(ended(6)), 35, wait(at(36), WaitReason::InFlight)),
        (sending(), Some(ended(6)), 36, send(Resolved, SendReason::Abandoned)),
        (delivered(), None, 304, wait(at(305), WaitReason::RepeatInterval)),
        (delivered(), None, 305, send(Firing, SendReason::Repeat)),
        (delivered(), Some(ended(6)), 64, wait(at(65), WaitReason::GroupInterval)),
        (delivered(), Some(ended(6)), 65, send(Resolved, SendReason::Resolved)),
        (delivered(), Some(ended(65)), 65, send(Resolved, SendReason::Resolved)),
        (retrying(false), None, 19, wait(at(20), WaitReason::Backoff)),
        (retrying(false), None, 20, send(Firing, SendReason::Retry)),
        (retrying(false), Some(ended(15)), 15, wait(at(20), WaitReason::Backoff)),
        (retrying(false), Some(ended(15)), 20, send(Resolved, SendReason::WholeStory)),
        (retrying(true), Some(ended(15)), 20, send(Resolved, SendReason::Retry)),
        (retrying(true), Some(ended(15)), 86_414, send(Resolved, SendReason::Retry)),
        (retrying(true), Some(ended(15)), 86_415, close(CloseReason::GaveUp)),
    ];
    for (delivery, end, now, expected) in table {
        let mut scene = Scene::new();
        scene.open.resolution = end;
        assert_eq!(scene.judge(&delivery, now), expected, "{delivery:?} {end:?} at {now}");
    }
}

#[test]
fn what_is_worse_or_left_to_a_person_waits_for_no_flush() {
    let escalated = send(AlertStatus::Firing, SendReason::Escalated);
    let mut scene = Scene::new();
    scene.open.alert.severity = Severity::Critical;
    assert_eq!(scene.judge(&delivered(), 6), escalated);
    let mut scene = Scene::new();
    scene.open.called_at = Some(at(6));
    assert_eq!(scene.judge(&delivered(), 6), escalated);
    scene.open.called_at = None;
    assert_eq!(scene.judge(&delivered(), 6), wait(at(305), WaitReason::RepeatInterval));
}

#[test]
fn without_send_resolved_only_what_was_never_told_is_sent_after_the_end() {
    let mut scene = Scene::new();
    scene.settings.send_resolved = false;
    scene.open.resolution = Some(ended(15));
    assert_eq!(scene.judge(&delivered(), 20), close(CloseReason::ResolvedNotWanted));
    assert_eq!(scene.judge(&retrying(true), 20), close(CloseReason::ResolvedNotWanted));
    assert_eq!(
        scene.judge(&retrying(false), 20),
        send(AlertStatus::Resolved, SendReason::WholeStory),
        "a receiver that missed everything is told what happened"
    );
}

#[test]
fn a_hold_keeps_everything_away_but_the_end() {
    let mut scene = Scene::new();
    let until = Some(at(900));
    scene.hold =
        Some(Hold { kind: HoldKind::Silenced, until, why: "quiet".into(), causes: Vec::new() });
    scene.open.alert.severity = Severity::Critical;
    let held = NotificationDecision::Wait { until, reason: WaitReason::Held };
    for delivery in [waiting(), delivered(), sending(), retrying(false), retrying(true)] {
        assert_eq!(scene.judge(&delivery, 400), held, "{delivery:?}");
    }
    scene.open.resolution = Some(ended(400));
    for (delivery, expected) in [
        (waiting(), close(CloseReason::NeverSent)),
        (delivered(), send(AlertStatus::Resolved, SendReason::Resolved)),
        (sending(), send(AlertStatus::Resolved, SendReason::Abandoned)),
        (retrying(false), send(AlertStatus::Resolved, SendReason::WholeStory)),
        (retrying(true), send(AlertStatus::Resolved, SendReason::Retry)),
    ] {
        assert_eq!(scene.judge(&delivery, 425), expected, "{delivery:?}");
    }
}

#[test]
fn nobody_is_reminded_of_what_somebody_looks_after() {
    let mut scene = Scene::new();
    let (by, comment) = ("kim".to_owned(), String::new());
    scene.open.acknowledged = Some(Acknowledgement { by, at: at(9), comment });
    let rest = NotificationDecision::Wait { until: None, reason: WaitReason::Acknowledged };
    assert_eq!(scene.judge(&delivered(), 5_000), rest);
    scene.open.alert.severity = Severity::Critical;
    assert_eq!(scene.judge(&delivered(), 5_000), send(AlertStatus::Firing, SendReason::Escalated));
}

#[test]
fn a_receiver_that_is_kept_current_is_shown_changes_at_the_next_flush() {
    let mut scene = Scene::new();
    scene.open.changed_at = Some(at(70));
    assert_eq!(scene.judge(&delivered(), 70), wait(at(305), WaitReason::RepeatInterval));
    scene.policy.keeps_current = true;
    assert_eq!(scene.judge(&delivered(), 70), wait(at(125), WaitReason::GroupInterval));
    let changed = send(AlertStatus::Firing, SendReason::Changed);
    assert_eq!(scene.judge(&delivered(), 125), changed);
}

#[test]
fn a_receiver_that_forgets_is_told_again_whatever_is_held_or_looked_after() {
    let mut scene = Scene::new();
    scene.policy.resend_every = Some(Duration::from_secs(100));
    scene.hold = Some(Hold {
        kind: HoldKind::Silenced,
        until: None,
        why: "quiet".into(),
        causes: Vec::new(),
    });
    assert_eq!(scene.judge(&delivered(), 104), wait(at(105), WaitReason::RepeatInterval));
    let resent = send(AlertStatus::Firing, SendReason::Resent);
    assert_eq!(scene.judge(&delivered(), 105), resent);
}

#[test]
fn draining_skips_the_waits_once() {
    use AlertStatus::{Firing, Resolved};
    let mut scene = Scene::new();
    scene.pace = Pace::Draining;
    let tried_again = |mut delivery: Delivery| {
        if let Delivery::Retrying { is_last, .. } | Delivery::Sending { is_last, .. } =
            &mut delivery
        {
            *is_last = true;
        }
        delivery
    };
    assert_eq!(scene.judge(&waiting(), 2), send(Firing, SendReason::First));
    assert_eq!(scene.judge(&retrying(false), 12), send(Firing, SendReason::Retry));
    assert_eq!(scene.judge(&tried_again(retrying(false)), 12), wait(at(20), WaitReason::Backoff));
    assert_eq!(scene.judge(&sending(), 12), send(Firing, SendReason::Abandoned));
    assert_eq!(scene.judge(&tried_again(sending()), 12), wait(at(36), WaitReason::InFlight));
    assert_eq!(scene.judge(&delivered(), 12), wait(at(305), WaitReason::RepeatInterval));
    scene.open.resolution = Some(ended(12));
    assert_eq!(scene.judge(&delivered(), 12), send(Resolved, SendReason::Resolved));
}

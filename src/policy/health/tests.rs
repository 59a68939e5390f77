//! Sequences of outcomes, and the states they must lead to.

use super::*;
use crate::model::ReasonKind;

const SETTINGS: HealthSettings = HealthSettings {
    failure_threshold: 3,
    success_threshold: 2,
    startup_grace: Duration::from_secs(60),
    flapping: FlapSettings { window: Duration::from_secs(600), threshold: 6 },
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn failed() -> Outcome {
    Outcome::failed(ReasonKind::Timeout, "timeout after 5s")
}

fn degraded() -> Outcome {
    Outcome::degraded(ReasonKind::Limited, "CheckHealth is slow")
}

/// Feeds one outcome a second from second `start` and returns the states.
fn feed(tracker: &mut HealthTracker, start: u64, outcomes: &[Outcome]) -> Vec<HealthState> {
    outcomes
        .iter()
        .zip(start..)
        .map(|(outcome, second)| {
            tracker.observe(outcome, SETTINGS, at(second));
            tracker.state()
        })
        .collect()
}

fn healthy_tracker() -> HealthTracker {
    let mut tracker = HealthTracker::new(SETTINGS, at(0));
    feed(&mut tracker, 0, &[Outcome::Healthy, Outcome::Healthy]);
    tracker
}

#[test]
fn what_falconer_itself_could_not_probe_changes_nothing() {
    let own = || Outcome::failed(ReasonKind::OwnLimit, "too many open files");
    let mut tracker = healthy_tracker();
    feed(&mut tracker, 100, &[failed(), failed()]);
    let before = tracker.clone();
    feed(&mut tracker, 102, &vec![own(); 100]);
    assert_eq!(tracker, before, "neither a failure nor a success");
    assert_eq!(feed(&mut tracker, 300, &[failed()]), [HealthState::Unhealthy]);
}

#[test]
fn the_first_success_is_believed_at_once() {
    let mut tracker = HealthTracker::new(SETTINGS, at(0));
    assert_eq!(feed(&mut tracker, 0, &[Outcome::Healthy]), [HealthState::Healthy]);
}

#[test]
fn only_the_third_failure_in_a_row_makes_it_unhealthy() {
    let mut tracker = healthy_tracker();
    let outcomes = [failed(), failed(), Outcome::Healthy, failed(), failed(), failed()];
    use HealthState::{Healthy, Unhealthy};
    assert_eq!(
        feed(&mut tracker, 100, &outcomes),
        [Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy]
    );
    assert_eq!(tracker.health().reason.unwrap().text, "timeout after 5s");
    assert_eq!(tracker.health().since, at(105));
}

#[test]
fn two_successes_in_a_row_make_it_healthy_again() {
    let mut tracker = healthy_tracker();
    feed(&mut tracker, 100, &[failed(), failed(), failed()]);
    use HealthState::{Healthy, Unhealthy};
    let outcomes = [Outcome::Healthy, failed(), Outcome::Healthy, Outcome::Healthy];
    assert_eq!(feed(&mut tracker, 103, &outcomes), [Unhealthy, Unhealthy, Unhealthy, Healthy]);
    assert_eq!(tracker.health().reason, None);
}

#[test]
fn what_has_never_answered_is_unknown_until_its_grace_is_over() {
    let mut tracker = HealthTracker::new(SETTINGS, at(0));
    let states = feed(&mut tracker, 0, &vec![failed(); 61]);
    assert!(states[..60].iter().all(|state| *state == HealthState::Unknown));
    assert_eq!(states[60], HealthState::Unhealthy);
}

#[test]
fn the_first_grace_ends_when_the_component_has_come_up() {
    let mut tracker = HealthTracker::new(SETTINGS, at(0));
    let states = feed(&mut tracker, 0, &[Outcome::Healthy, failed(), failed(), failed()]);
    assert_eq!(states[3], HealthState::Unhealthy);
}

#[test]
fn a_service_in_grace_is_degraded_and_not_unhealthy() {
    let mut tracker = healthy_tracker();
    tracker.grant_grace(at(160), false);
    let states = feed(&mut tracker, 100, &[degraded(), failed(), failed(), failed(), failed()]);
    assert!(states.iter().all(|state| *state == HealthState::Degraded), "{states:?}");
    assert!(!tracker.is_persistently_degraded(SETTINGS, at(105)));
    assert_eq!(feed(&mut tracker, 160, &[failed()]), [HealthState::Unhealthy]);
}

#[test]
fn a_sick_service_that_serves_again_in_its_grace_is_degraded_at_once() {
    let mut tracker = healthy_tracker();
    feed(&mut tracker, 100, &[failed(), failed(), failed()]);
    assert_eq!(tracker.state(), HealthState::Unhealthy);
    assert_eq!(feed(&mut tracker, 103, &[degraded()]), [HealthState::Unhealthy]);
    tracker.grant_grace(at(164), false);
    let states = feed(&mut tracker, 105, &[failed(), degraded(), failed(), failed(), failed()]);
    use HealthState::{Degraded, Unhealthy};
    assert_eq!(states, [Unhealthy, Degraded, Degraded, Degraded, Degraded]);
}

#[test]
fn a_blemish_shows_at_once_and_is_worth_an_alert_once_it_outlasts_a_start() {
    let mut tracker = healthy_tracker();
    assert_eq!(feed(&mut tracker, 100, &[degraded()]), [HealthState::Degraded]);
    feed(&mut tracker, 101, &vec![degraded(); 59]);
    assert!(!tracker.is_persistently_degraded(SETTINGS, at(159)));
    assert!(tracker.is_persistently_degraded(SETTINGS, at(160)));
    assert_eq!(
        feed(&mut tracker, 161, &[Outcome::Healthy, Outcome::Healthy]),
        [HealthState::Degraded, HealthState::Healthy]
    );
}

const EXTRA: Weight = Weight { scheduled: false, confirmed: false };

fn not_ready() -> Reason {
    Reason::new(ReasonKind::SomePods, "2 of 3 pods are ready: qn-1 is not ready")
}

#[test]
fn the_platforms_word_shows_at_once_but_makes_nothing_unhealthy() {
    let mut tracker = healthy_tracker();
    let moved = Transition::Moved { from: HealthState::Healthy, to: HealthState::Degraded };
    assert_eq!(tracker.note(&not_ready(), false, SETTINGS, at(100)), moved);
    for second in 101..200 {
        tracker.note(&not_ready(), false, SETTINGS, at(second));
    }
    assert_eq!(tracker.state(), HealthState::Degraded);
    assert_eq!(tracker.health().reason, Some(not_ready()));
    assert!(!tracker.is_persistently_degraded(SETTINGS, at(200)), "no probe has said so");
    let states = feed(&mut tracker, 200, &[Outcome::Healthy, Outcome::Healthy]);
    assert_eq!(states, [HealthState::Degraded, HealthState::Healthy]);
}

#[test]
fn failures_out_of_turn_do_not_add_up() {
    let mut tracker = healthy_tracker();
    for second in 100..200 {
        tracker.observe_as(EXTRA, &failed(), SETTINGS, at(second));
    }
    assert_eq!(tracker.state(), HealthState::Healthy);
    let states = feed(&mut tracker, 200, &[failed(), failed(), failed()]);
    use HealthState::{Healthy, Unhealthy};
    assert_eq!(states, [Healthy, Healthy, Unhealthy]);
}

#[test]
fn a_failure_out_of_turn_is_not_overlooked_although_it_does_not_add_up() {
    let mut tracker = healthy_tracker();
    tracker.observe_as(EXTRA, &failed(), SETTINGS, at(100));
    assert_eq!(tracker.health().consecutive_failures, 0);
    assert!(tracker.is_unhealthy_or_failing());
    feed(&mut tracker, 130, &[Outcome::Healthy]);
    assert!(!tracker.is_unhealthy_or_failing());
}

#[test]
fn a_failure_that_the_platform_confirms_is_decisive_but_is_not_counted_out() {
    let mut tracker = healthy_tracker();
    let confirmed = Weight { scheduled: false, confirmed: true };
    tracker.observe_as(confirmed, &failed(), SETTINGS, at(100));
    assert_eq!(tracker.state(), HealthState::Unhealthy);
    assert!(!tracker.is_counted_out());
    feed(&mut tracker, 130, &[failed(), failed()]);
    assert!(!tracker.is_counted_out());
    feed(&mut tracker, 190, &[failed()]);
    assert!(tracker.is_counted_out());
    feed(&mut tracker, 220, &[Outcome::Healthy, Outcome::Healthy]);
    assert!(!tracker.is_counted_out());
}

#[test]
fn startup_grace_outweighs_the_platforms_confirmation() {
    let confirmed = Weight { scheduled: true, confirmed: true };
    let mut tracker = HealthTracker::new(SETTINGS, at(0));
    tracker.observe_as(confirmed, &failed(), SETTINGS, at(30));
    assert_eq!(tracker.state(), HealthState::Unknown);
    tracker.observe_as(confirmed, &failed(), SETTINGS, at(60));
    assert_eq!(tracker.state(), HealthState::Unhealthy);
}

#[test]
fn what_is_being_replaced_has_its_startup_grace_once_until_it_serves_again() {
    let mut tracker = healthy_tracker();
    for second in 100..160 {
        tracker.note(&not_ready(), true, SETTINGS, at(second));
        tracker.observe(&failed(), SETTINGS, at(second));
    }
    assert_eq!(tracker.state(), HealthState::Degraded);
    tracker.note(&not_ready(), true, SETTINGS, at(160));
    assert_eq!(feed(&mut tracker, 160, &[failed()]), [HealthState::Unhealthy]);
}

#[test]
fn what_its_owner_changes_stays_as_it_is_with_a_reason() {
    let mut tracker = healthy_tracker();
    tracker.explain(&not_ready(), false, SETTINGS, at(100));
    assert_eq!(tracker.state(), HealthState::Healthy);
    assert_eq!(tracker.health().reason, Some(not_ready()));
}

#[test]
fn what_is_scaled_to_zero_is_unknown_and_has_its_startup_grace_when_it_comes_back() {
    let zero = Outcome::degraded(ReasonKind::ScaledToZero, "scaled to zero by its owner");
    let mut tracker = healthy_tracker();
    feed(&mut tracker, 100, &[failed(), failed(), failed()]);
    assert_eq!(feed(&mut tracker, 103, std::slice::from_ref(&zero)), [HealthState::Unknown]);
    assert!(tracker.is_off());
    assert_eq!(tracker.health().consecutive_failures, 0);
    feed(&mut tracker, 104, &vec![zero; 500]);
    assert!(!tracker.is_persistently_degraded(SETTINGS, at(1_000)));
    let states = feed(&mut tracker, 1_000, &vec![failed(); 61]);
    assert!(!tracker.is_off());
    assert!(states[..60].iter().all(|state| *state == HealthState::Unknown), "{states:?}");
    assert_eq!(states[60], HealthState::Unhealthy);
}

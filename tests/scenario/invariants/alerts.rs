//! Promises about alerts: none without cause, none lost, none twice.

use std::time::Duration;

use falconer::actors::status::StatusSnapshot;
use falconer::model::{AlertStatus, ComponentId, Notification, Severity, Timestamp};

use falconer::policy::dependency::Place;
use falconer::policy::notification::Delivery;

use crate::world::death::Actor;
use crate::world::receiver::{Accepted, Mood, Receiver, Story, call};
use crate::world::{At, State};

/// A report can reach its supervisor this much later than it was made.
const REPORTING: Duration = Duration::from_secs(400);

/// The first back-off after a failure, with its jitter.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(800);

impl State {
    /// A message is on its way to a receiver.
    pub fn check_message(&mut self, index: usize, message: &Notification) {
        if message.lead.component.cluster.as_ref() == "falconer" {
            // What falconer says of itself is no part of this world.
            return;
        }
        let mut wrong = self.wrong_timing(index, message);
        wrong.extend(self.wrong_cause(message));
        // What a message says may have changed since it was tried first, and judged.
        let is_retry = {
            let tried = &mut self.receivers[index].tried;
            !tried.insert((message.lead.incident.clone(), message.sent_at))
        };
        if let Some(story) = self.receivers[index].stories.get(&message.lead.incident) {
            wrong.extend(self.wrong_again(story, message, is_retry));
        }
        let (name, incident) = (self.receivers[index].name.clone(), &message.lead.incident);
        let (status, severity) = (message.lead.status.as_str(), message.lead.severity.as_str());
        for why in wrong {
            self.violate(format!(
                "{name} is sent {status} {severity} {incident}: {why} ({})",
                message.lead.action
            ));
        }
    }

    fn wrong_timing(&self, index: usize, message: &Notification) -> Vec<String> {
        let (now, receiver, mut wrong) = (self.now(), &self.receivers[index], Vec::new());
        let settings = &self.plan.settings.alerter;
        if receiver.on_the_way > 0 {
            wrong.push("another message is on its way there".to_owned());
        }
        let told = settings.receivers_for(message.lead.severity);
        let told_before = settings.receivers_for(Severity::Warning);
        if !told.contains(&receiver.name) && !told_before.contains(&receiver.name) {
            wrong.push("no route leads there".to_owned());
        }
        if self.ending_since.is_some() {
            return wrong;
        }
        if message.lead.status == AlertStatus::Firing
            && now.since(message.lead.started_at) < settings.group_wait
        {
            wrong.push("group_wait is not over".to_owned());
        }
        if receiver.failed_at.is_some_and(|at| now.since(at) < SHORTEST_BACKOFF) {
            wrong.push("it was out of reach a moment ago".to_owned());
        }
        wrong
    }

    /// Whether what the message says is so.
    fn wrong_cause(&self, message: &Notification) -> Vec<String> {
        let Some(at) = self.place_of_incident(&message.lead.incident) else {
            return vec!["there is no such component".to_owned()];
        };
        let (log, mut wrong) = (&self.target(at).log, Vec::new());
        let earliest = message.lead.started_at.minus(REPORTING);
        let since = |instant: Option<Timestamp>| instant.is_some_and(|at| at >= earliest);
        if !log.ever_sick {
            wrong.push("the component was always healthy".to_owned());
        }
        let cause = match message.lead.severity {
            Severity::Critical => since(log.last_unhealthy),
            Severity::Warning => since(log.last_degraded) || since(log.last_unhealthy),
        };
        if !cause {
            wrong.push("its probes gave no cause".to_owned());
        }
        if message.lead.status == AlertStatus::Resolved
            && self.target(at).gone_since.is_none()
            && log.began_anew.is_none_or(|at| at < message.lead.started_at)
            && log.last_healthy.is_none_or(|at| at < message.lead.started_at)
        {
            wrong.push("its probes were not healthy again".to_owned());
        }
        wrong
    }

    /// Whether the receiver had to be told this after what it was told before.
    fn wrong_again(&self, story: &Story, message: &Notification, is_retry: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let same = |accepted: &Accepted| {
            accepted.made_at == message.sent_at && accepted.severity == message.lead.severity
        };
        if let Some(resolved) = &story.resolved {
            if resolved.known {
                wrong.push("it was told that it is over".to_owned());
            } else if message.lead.status == AlertStatus::Firing || !same(resolved) {
                wrong.push("it may know that it is over, and cannot recognise this".to_owned());
            }
        }
        if message.lead.status == AlertStatus::Resolved {
            return wrong;
        }
        let repeat = self.plan.settings.alerter.repeat_interval;
        for accepted in &story.firing {
            if accepted.known && same(accepted) {
                wrong.push("it has accepted this very message".to_owned());
            }
            let worse = message.lead.severity > accepted.severity;
            let call = call(message);
            let is_news = worse || (call.is_some() && call != accepted.call);
            let told_at = if accepted.known { accepted.at } else { accepted.made_at };
            let too_soon = message.sent_at.since(told_at) < repeat;
            if !is_retry && !is_news && too_soon {
                wrong.push("repeat_interval is not over".to_owned());
            }
        }
        wrong
    }

    /// How long a receiver that is well again may be kept waiting.
    fn patience(&self) -> Duration {
        let settings = &self.plan.settings.alerter;
        let longest = settings.backoff.max.max(settings.refused_backoff.max);
        longest.mul_f64(1.2) + settings.send_timeout + Duration::from_secs(90)
    }

    /// Every second: nobody waits for a message that should have come.
    pub fn check_told(&mut self) {
        let (now, patience) = (self.now(), self.patience());
        let must_know = self.plan.settings.alerter.receivers_for(Severity::Critical);
        let group_wait = self.plan.settings.alerter.group_wait;
        self.note_hidden(now);
        let mut wrong = Vec::new();
        for at in self.all_places() {
            let target = self.target(at);
            let Some(since) = target.log.surely_unhealthy else { continue };
            if target.gone_since.is_some() {
                continue;
            }
            let is_late = |receiver: &&Receiver| {
                let hidden = receiver.hidden.get(&target.id).copied().unwrap_or_default();
                now.since((since + group_wait).max(hidden)) > patience
            };
            for receiver in self.receivers.iter().filter(is_late) {
                let calm = now.since(receiver.calm_since) > patience;
                let open = |story: &Story| story.component == target.id && story.is_open();
                let told = receiver.stories.values().any(open);
                if calm && !told && must_know.contains(&receiver.name) {
                    let (id, name, since) = (&target.id, &receiver.name, self.time(since));
                    wrong.push(format!("{name} was not told that {id} is unhealthy since {since}"));
                }
            }
        }
        wrong.extend(self.unresolved(patience));
        for why in wrong {
            self.violate(why);
        }
    }

    /// Who suffers from something that a receiver was told of is not told there by itself.
    fn note_hidden(&mut self, now: Timestamp) {
        let places: Vec<(ComponentId, Place)> = self
            .all_places()
            .iter()
            .map(|at| (self.target(*at).id.clone(), self.place(*at)))
            .collect();
        for receiver in &mut self.receivers {
            let told = receiver.stories.values().filter(|story| story.is_open());
            let told: Vec<&ComponentId> = told.map(|story| &story.component).collect();
            for (id, place) in &places {
                let causes = places
                    .iter()
                    .filter(|(cause, below)| cause.cluster == id.cluster && place.rests_on(*below));
                if causes.into_iter().any(|(cause, _)| told.contains(&cause)) {
                    receiver.hidden.insert(id.clone(), now);
                }
            }
        }
    }

    fn place(&self, at: At) -> Place {
        let target = self.target(at);
        let is_dependency = self.clusters[at.cluster].depends_on.contains(&target.id.component);
        Place::of(&target.id.component, target.plan.kind, is_dependency, target.run.is_some())
    }

    /// Messages that it is over which should have come.
    fn unresolved(&self, patience: Duration) -> Vec<String> {
        let (now, mut wrong) = (self.now(), Vec::new());
        if !self.plan.settings.alerter.send_resolved {
            return wrong;
        }
        for receiver in &self.receivers {
            let calm = now.since(receiver.calm_since) > patience;
            for (incident, _) in receiver.stories.iter().filter(|(_, s)| calm && s.is_open()) {
                let over = self.place_of_incident(incident).and_then(|at| self.over_since(at));
                let over = over.or(receiver.next_began(incident));
                if over.is_some_and(|since| now.since(since) > patience) {
                    let name = &receiver.name;
                    wrong.push(format!("{name} was not told that {incident} is over"));
                }
            }
        }
        wrong
    }

    /// Since when falconer must know that nothing ails the target.
    fn over_since(&self, at: At) -> Option<Timestamp> {
        let target = self.target(at);
        let gone = target.gone_since.map(|at| at.max(target.log.untracked_until));
        let off = target.log.off_since.map(|at| at.max(target.log.untracked_until));
        // What has come and gone too often must be well for a while before it is called over.
        let settled = target.log.surely_healthy.map(|at| at + target.plan.health.flapping.calm());
        gone.or(off).or(settled)
    }

    /// falconer has ended in the middle of trouble: whoever could be told was told.
    pub fn check_drained(&mut self, status: &StatusSnapshot) {
        let Some(ending_since) = self.ending_since else { return };
        if self.deaths.back_by(Actor::Alerter).is_some_and(|back_by| back_by > ending_since) {
            return;
        }
        let mut wrong = Vec::new();
        for alert in &status.alerter.alerts {
            for receiver in self.receivers.iter().filter(|one| one.mood == Mood::Fine) {
                let due = match alert.deliveries.get(&receiver.name) {
                    Some(Delivery::Closed { .. }) | None => false,
                    Some(
                        Delivery::Waiting { .. }
                        | Delivery::Sending { .. }
                        | Delivery::Retrying { .. }
                        | Delivery::Delivered { .. },
                    ) => true,
                };
                // Told with its cause, or by somebody's wish not at all.
                let held = alert.held.get(&receiver.name);
                let is_held = held.is_some_and(|hold| hold.kind.outlasts_the_end());
                if due && !is_held && !receiver.stories.contains_key(&alert.alert.incident) {
                    let (name, incident) = (&receiver.name, &alert.alert.incident);
                    wrong.push(format!("falconer ended, and {name} was not told of {incident}"));
                }
            }
        }
        for why in wrong {
            self.violate(why);
        }
    }

    /// Nobody is left with a message that is no longer true.
    pub fn check_all_told(&mut self) {
        if !self.plan.settings.alerter.send_resolved {
            return;
        }
        let open = |story: &Story| story.is_open();
        let left: Vec<String> = self
            .receivers
            .iter()
            .flat_map(|receiver| {
                let stories = receiver.stories.iter().filter(|(_, story)| open(story));
                stories
                    .map(|(incident, _)| format!("{} still believes in {incident}", receiver.name))
            })
            .collect();
        for why in left {
            self.violate(why);
        }
    }
}

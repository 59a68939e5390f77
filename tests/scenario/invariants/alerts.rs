//! Promises about alerts: none without cause, none lost, none twice.

use std::time::Duration;

use falconer::actors::status::StatusSnapshot;
use falconer::model::{AlertMessage, AlertStatus, ComponentId, Notification, Severity, Timestamp};

use falconer::policy::dependency::Place;

use crate::world::death::Actor;
use crate::world::receiver::{Accepted, Mood, Receiver, Story, call};
use crate::world::{At, State};

/// A report can reach its supervisor this much later than it was made.
const REPORTING: Duration = Duration::from_secs(400);

/// No answer that falconer waits for takes longer.
const ON_ITS_WAY: Duration = Duration::from_secs(41);

/// The first back-off after a failure, with its jitter.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(800);

impl State {
    /// A message is on its way to a receiver.
    pub fn check_message(&mut self, index: usize, message: &Notification) {
        let mut wrong = self.wrong_timing(index);
        let repeats = self.repeats(index, message);
        // What falconer says of itself is no part of this world.
        let alerts = message.alerts();
        for alert in alerts.filter(|alert| alert.component.cluster.as_ref() != "falconer") {
            let told = &alert.incident;
            let mut about = self.wrong_route(index, alert);
            about.extend(self.wrong_cause(alert));
            // What a message says may have changed since it was tried first, and judged.
            let is_retry = {
                let tried = &mut self.receivers[index].tried;
                !tried.insert((told.clone(), message.sent_at))
            };
            if let Some(story) = self.receivers[index].stories.get(told) {
                about.extend(self.wrong_again(story, (message, alert), is_retry || repeats));
            }
            let (status, severity) = (alert.status.as_str(), alert.severity.as_str());
            wrong.extend(
                about
                    .into_iter()
                    .map(|why| format!("{status} {severity} {told}: {why} ({})", alert.action)),
            );
        }
        let name = self.receivers[index].name.clone();
        for why in wrong {
            self.violate(format!("{name} is sent {why}"));
        }
    }

    fn wrong_timing(&self, index: usize) -> Vec<String> {
        let (now, receiver, mut wrong) = (self.now(), &self.receivers[index], Vec::new());
        if receiver.on_the_way > 0 {
            wrong.push("another message while one is on its way there".to_owned());
        }
        if self.ending_since.is_some() {
            return wrong;
        }
        if receiver.failed_at.is_some_and(|at| now.since(at) < SHORTEST_BACKOFF) {
            wrong.push("a message though it was out of reach a moment ago".to_owned());
        }
        wrong
    }

    fn wrong_route(&self, index: usize, alert: &AlertMessage) -> Vec<String> {
        let settings = &self.plan.settings.alerter;
        let told = |severity| settings.receivers_for(&alert.component, severity);
        let name = &self.receivers[index].name;
        if told(alert.severity).contains(name) || told(Severity::Warning).contains(name) {
            return Vec::new();
        }
        vec!["no route leads there".to_owned()]
    }

    /// Whether the message may tell again what was told: something in it is news, or was not told
    /// for as long as it takes to be reminded.
    fn repeats(&self, index: usize, message: &Notification) -> bool {
        let receiver = &self.receivers[index];
        let is_new = |alert: &AlertMessage| match receiver.stories.get(&alert.incident) {
            None => true,
            Some(_) if alert.status == AlertStatus::Resolved => true,
            Some(story) => story.firing.iter().all(|accepted| {
                alert.severity > accepted.severity
                    || (call(alert).is_some() && call(alert) != accepted.call)
                    || !accepted.known
            }),
        };
        message.alerts().any(is_new)
    }

    /// Whether what the message says is so.
    fn wrong_cause(&self, message: &AlertMessage) -> Vec<String> {
        let Some(at) = self.place_of_incident(&message.incident) else {
            return vec!["there is no such component".to_owned()];
        };
        let (log, mut wrong) = (&self.target(at).log, Vec::new());
        let earliest = message.started_at.minus(REPORTING);
        let since = |instant: Option<Timestamp>| instant.is_some_and(|at| at >= earliest);
        if !log.ever_sick {
            wrong.push("the component was always healthy".to_owned());
        }
        let cause = match message.severity {
            Severity::Critical => since(log.last_unhealthy),
            Severity::Warning => since(log.last_degraded) || since(log.last_unhealthy),
        };
        if !cause {
            wrong.push("its probes gave no cause".to_owned());
        }
        if message.status == AlertStatus::Resolved
            && self.target(at).gone_since.is_none()
            && log.began_anew.is_none_or(|at| at < message.started_at)
            && log.last_healthy.is_none_or(|at| at < message.started_at)
        {
            wrong.push("its probes were not healthy again".to_owned());
        }
        wrong
    }

    /// Whether the receiver had to be told this after what it was told before. It `may_repeat` what
    /// goes on in a message that is sent for another reason, or once more.
    fn wrong_again(
        &self,
        story: &Story,
        (message, alert): (&Notification, &AlertMessage),
        may_repeat: bool,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let same = |accepted: &Accepted| {
            accepted.made_at == message.sent_at && accepted.severity == alert.severity
        };
        if let Some(resolved) = &story.resolved {
            if resolved.known {
                wrong.push("it was told that it is over".to_owned());
            } else if alert.status == AlertStatus::Firing || !same(resolved) {
                wrong.push("it may know that it is over, and cannot recognise this".to_owned());
            }
        }
        if alert.status == AlertStatus::Resolved {
            return wrong;
        }
        let repeat = self.plan.settings.alerter.repeat_interval;
        for accepted in &story.firing {
            if accepted.known && same(accepted) {
                wrong.push("it has accepted this very message".to_owned());
            }
            let told_at = if accepted.known { accepted.at } else { accepted.made_at };
            // A message that began at a flush may have been accepted a little later.
            let too_soon = message.sent_at.since(told_at) + ON_ITS_WAY < repeat;
            if !may_repeat && too_soon {
                wrong.push("repeat_interval is not over".to_owned());
            }
        }
        wrong
    }

    /// How long a receiver that is well again may be kept waiting.
    fn patience(&self) -> Duration {
        let settings = &self.plan.settings.alerter;
        let longest = settings.backoff.max.max(settings.refused_backoff.max);
        longest.mul_f64(1.2)
            + settings.send_timeout
            + settings.longest_wait()
            + Duration::from_secs(90)
    }

    /// Every second: nobody waits for a message that should have come.
    pub fn check_told(&mut self) {
        let (now, patience) = (self.now(), self.patience());
        self.note_hidden(now);
        let settings = &self.plan.settings.alerter;
        let group_wait = settings.group_wait;
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
            let must_know = settings.receivers_for(&target.id, Severity::Critical);
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
                let due = alert.deliveries.contains_key(&receiver.name);
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

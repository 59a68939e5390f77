//! Plays the steps of a scenario: makes things go wrong, and measures until everything expected was
//! seen or the time is over.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::injection::inject;
use super::observer::{Beginning, Observer};
use super::reference::Reference;
use super::report::EventReport;
use super::scenario::{Expectation, Scenario, Step, Verdict};
use super::screen::Screen;
use crate::model::Timestamp;

/// How long everything may take to become healthy at first.
const BASELINE_LIMIT: Duration = Duration::from_secs(15);
/// How often evidence is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// How often the table is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(250);

/// Plays the steps.
pub(super) struct Player<'a> {
    pub(super) observer: Observer<'a>,
    pub(super) screen: Screen,
    /// The rule that has to bear the same.
    pub(super) reference: Option<Reference>,
    /// When the first fault was injected.
    pub(super) struck_at: Option<Timestamp>,
    /// When it must be over.
    pub(super) ends: Instant,
}

impl Player<'_> {
    /// Plays everything.
    pub(super) async fn all(&mut self, scenario: &Scenario) -> Vec<EventReport> {
        let mut events = Vec::new();
        let mut limit = BASELINE_LIMIT;
        let mut previous = None;
        for step in scenario.steps {
            let waits = step.trouble.comes_alone(previous);
            let event = if !waits || self.wait_until_all_is_well(limit).await {
                let before = if waits { "all is well; " } else { "" };
                let note = format!("{before}now {} ({})", step.name, step.component);
                self.screen.say(self.observer.now(), &note);
                self.step(step).await
            } else {
                let complaints = self.observer.complaints().join("; ");
                let missing = vec![format!("not healthy beforehand: {complaints}")];
                EventReport { name: step.name, missing, ..EventReport::default() }
            };
            (limit, previous) = (step.limit, Some(step.trouble));
            events.push(event);
        }
        events
    }

    async fn step(&mut self, step: &Step) -> EventReport {
        let mut event = EventReport { name: step.name, ..EventReport::default() };
        let beginning = self.observer.begin(step.component);
        self.struck_at.get_or_insert(beginning.at);
        let struck = inject(self.observer.sim, step);
        let also = self.reference.as_mut().map_or(Ok(()), |reference| reference.strike(step));
        if let Err(error) = struck.and(also) {
            event.missing.push(error.to_string());
            return event;
        }
        let mut open: Vec<Expectation> = step.expects.to_vec();
        let ends = self.ends.min(Instant::now() + step.limit);
        let mut next_draw = Instant::now();
        while !open.is_empty() && Instant::now() < ends {
            self.look(step, &beginning, &mut open, &mut event);
            self.pause(&mut next_draw).await;
        }
        let missed = !open.is_empty();
        for expectation in open {
            event.miss(expectation.milestone(), expectation.words(step.component));
        }
        let looked_on = if missed { Instant::now() } else { Instant::now() + step.afterwards };
        while Instant::now() < looked_on {
            self.pause(&mut next_draw).await;
        }
        self.judge(step, &beginning, &mut event);
        self.count(&beginning, &mut event);
        if !event.missing.is_empty() {
            for words in self.observer.own_words(step.component) {
                self.screen.say(self.observer.now(), &format!("  falconer says: {words}"));
            }
        }
        event
    }

    async fn pause(&mut self, next_draw: &mut Instant) {
        if Instant::now() >= *next_draw {
            self.screen.draw(self.observer.sim, self.observer.board);
            *next_draw = Instant::now() + DRAW_INTERVAL;
        }
        sleep(LOOK_INTERVAL).await;
    }

    /// Counts what was done and told.
    fn count(&mut self, beginning: &Beginning, event: &mut EventReport) {
        for deed in self.observer.deeds(beginning.at) {
            *event.actions.entry(deed.as_str()).or_default() += 1;
        }
        let mails = self.observer.mails(beginning.at);
        event.mails = mails.len();
        if self.reference.is_some() {
            for mail in mails {
                self.screen.say(mail.received_at, &format!("  mail: {}", mail.subject()));
            }
        }
    }

    /// Notes what has been met and leaves the rest open. What is to end well cannot do so before
    /// it was bad: recovery is only looked for once everything before it was seen.
    fn look(
        &mut self,
        step: &Step,
        beginning: &Beginning,
        open: &mut Vec<Expectation>,
        event: &mut EventReport,
    ) {
        use super::scenario::Milestone::Recover;
        let waiting = open.iter().any(|expectation| expectation.milestone() != Recover);
        let mut still_open = Vec::new();
        for expectation in open.drain(..) {
            let may = expectation.milestone() != Recover || !waiting;
            let met = may.then(|| self.observer.met(expectation, step, beginning)).flatten();
            let Some(at) = met else {
                still_open.push(expectation);
                continue;
            };
            let after = at.since(beginning.at);
            event.reach(expectation.milestone(), after.as_millis() as u64);
            let words = expectation.words(step.component);
            self.screen.say(at, &format!("  +{:.2} s  {words}", after.as_secs_f64()));
        }
        *open = still_open;
    }

    fn judge(&mut self, step: &Step, beginning: &Beginning, event: &mut EventReport) {
        let now = self.observer.now();
        for verdict in step.verdicts {
            event.missing.extend(self.observer.judge(*verdict, step, beginning.at));
            if *verdict == Verdict::SiblingsOnTime {
                let roles = self.observer.sim.settings().components.iter();
                let longest = roles
                    .map(|component| component.role.as_str())
                    .filter(|role| *role != step.component)
                    .map(|role| self.observer.longest_gap(role, beginning.at))
                    .max()
                    .unwrap_or(0);
                let own = self.observer.longest_gap(step.component, beginning.at);
                let note = format!(
                    "  {} was not probed for {own} ms, its siblings never longer than {longest} ms",
                    step.component
                );
                self.screen.say(now, &note);
            }
        }
    }

    async fn wait_until_all_is_well(&mut self, limit: Duration) -> bool {
        let ends = self.ends.min(Instant::now() + limit);
        let ready = |it: &Option<Reference>| it.as_ref().is_none_or(Reference::is_ready);
        while !self.observer.all_is_well() || !ready(&self.reference) {
            if Instant::now() >= ends {
                return false;
            }
            self.screen.draw(self.observer.sim, self.observer.board);
            sleep(LOOK_INTERVAL).await;
        }
        true
    }
}

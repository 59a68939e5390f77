//! People's receivers: they accept, refuse, hang, break, or accept without saying so; and they keep
//! what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use falconer::effects::{Notifier, NotifyError};
use falconer::model::{
    AlertMessage, ComponentId, IncidentId, Notification, Receipt, Severity, Timestamp,
};

use super::death::Actor;
use super::{State, World};

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It accepts at once.
    Fine,
    /// It accepts late, sometimes too late.
    Slow,
    /// It never answers.
    Hangs,
    /// It cannot be reached.
    Away,
    /// It refuses.
    Refuses,
    /// It accepts, and the answer is lost.
    Loses,
    /// It accepts, and no answer comes.
    Swallows,
    /// The adapter has a bug.
    Breaks,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// When it was made: the mark by which a receiver recognises it.
    pub made_at: Timestamp,
    /// When it was accepted.
    pub at: Timestamp,
    /// How bad it said it is.
    pub severity: Severity,
    /// What it called a person for, which is news of its own.
    pub call: Option<String>,
    /// Whether falconer knows.
    pub known: bool,
}

/// What the message calls a person for: because the incident is left to one, or because nothing more
/// is done in its cluster.
pub fn call(message: &AlertMessage) -> Option<String> {
    const LEFT: &str = "left to a person";
    let action = &message.action;
    if action.starts_with(LEFT) {
        return Some(LEFT.to_owned());
    }
    action.contains(" is stopped since ").then(|| action.clone())
}

/// What a receiver was told of an incident.
#[derive(Debug, Clone)]
pub struct Story {
    /// What the incident is about.
    pub component: ComponentId,
    /// Messages that it goes on.
    pub firing: Vec<Accepted>,
    /// The message that it is over.
    pub resolved: Option<Accepted>,
}

impl Story {
    /// Whether it is told as going on.
    pub fn is_open(&self) -> bool {
        self.resolved.is_none() && !self.firing.is_empty()
    }
}

/// One receiver.
pub struct Receiver {
    /// Its name.
    pub name: Arc<str>,
    /// How it behaves.
    pub mood: Mood,
    /// Until when.
    pub mood_until: Timestamp,
    /// Since when nothing keeps messages from it.
    pub calm_since: Timestamp,
    /// Messages on their way to it.
    pub on_the_way: u32,
    /// When it last turned a message down.
    pub failed_at: Option<Timestamp>,
    /// The messages that were tried, whatever became of it: whose, and when they were made.
    pub tried: BTreeSet<(IncidentId, Timestamp)>,
    /// When something that a component suffers from was last told as going on.
    pub hidden: BTreeMap<ComponentId, Timestamp>,
    /// Everything that it was told.
    pub stories: BTreeMap<IncidentId, Story>,
}

impl Receiver {
    /// A receiver that accepts.
    pub fn new(name: &Arc<str>, now: Timestamp) -> Self {
        Self {
            name: Arc::clone(name),
            mood: Mood::Fine,
            mood_until: now,
            calm_since: now,
            on_the_way: 0,
            failed_at: None,
            tried: BTreeSet::new(),
            hidden: BTreeMap::new(),
            stories: BTreeMap::new(),
        }
    }

    /// When it was told of a later incident of the same component: by then this one was over.
    pub fn next_began(&self, incident: &IncidentId) -> Option<Timestamp> {
        let component = &self.stories.get(incident)?.component;
        let later = self.stories.iter().filter(|(other, story)| {
            other.as_str() > incident.as_str() && story.component == *component
        });
        later.filter_map(|(_, story)| story.firing.first()).map(|first| first.at).min()
    }

    /// Changes the mood.
    pub fn becomes(&mut self, mood: Mood, until: Timestamp) {
        self.mood = mood;
        self.mood_until = until;
        self.calm_since = self.calm_since.max(until);
    }
}

/// A receiver as falconer reaches it.
pub struct WorldNotifier {
    /// The world.
    pub world: World,
    /// The receiver's index.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
}

/// A message on its way, until it ends in any way.
struct Sending<'a>(&'a World, usize);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.lock().receivers[self.1].on_the_way -= 1;
    }
}

#[async_trait]
impl Notifier for WorldNotifier {
    fn name(&self) -> &str {
        &self.name
    }

    async fn notify(&self, message: &Notification) -> Result<Receipt, NotifyError> {
        let (mood, delay) = {
            let mut state = self.world.lock();
            state.check_message(self.index, message);
            state.receivers[self.index].on_the_way += 1;
            state.mood(self.index)
        };
        let _sending = Sending(&self.world, self.index);
        tokio::time::sleep(delay).await;
        let receiver = self.name.to_string();
        match mood {
            Mood::Fine | Mood::Slow => {
                self.world.lock().accept(self.index, message, true);
                Ok(Receipt::default())
            }
            Mood::Hangs => {
                self.world.lock().turned_down(self.index);
                std::future::pending().await
            }
            Mood::Swallows => {
                self.world.lock().accept(self.index, message, false);
                std::future::pending().await
            }
            Mood::Loses => {
                let mut state = self.world.lock();
                state.accept(self.index, message, false);
                state.turned_down(self.index);
                Err(NotifyError::Unavailable { receiver, message: "reset".to_owned() })
            }
            Mood::Away => {
                self.world.lock().turned_down(self.index);
                Err(NotifyError::Unavailable { receiver, message: "503".to_owned() })
            }
            Mood::Refuses => {
                Err(NotifyError::Refused { receiver, message: "bad password".to_owned() })
            }
            Mood::Breaks => {
                self.world.lock().dies(Actor::Alerter);
                panic!("scenario: the notifier breaks");
            }
        }
    }
}

impl State {
    /// How the receiver takes the next message, and after which time.
    fn mood(&mut self, index: usize) -> (Mood, Duration) {
        let quick = self.dice.millis(5, 200);
        let mood = self.receivers[index].mood;
        match mood {
            Mood::Slow => (mood, self.dice.seconds(1, 40)),
            Mood::Breaks if !self.may_die(Actor::Alerter) => (Mood::Away, quick),
            Mood::Fine
            | Mood::Hangs
            | Mood::Away
            | Mood::Refuses
            | Mood::Loses
            | Mood::Swallows
            | Mood::Breaks => (mood, quick),
        }
    }

    fn accept(&mut self, index: usize, message: &Notification, known: bool) {
        self.counts.messages += 1;
        for alert in message.alerts() {
            self.accept_about(index, (message.sent_at, alert), known);
        }
    }

    fn accept_about(
        &mut self,
        index: usize,
        (made_at, message): (Timestamp, &AlertMessage),
        known: bool,
    ) {
        let at = self.now();
        let receiver = &mut self.receivers[index];
        let story = receiver.stories.entry(message.incident.clone()).or_insert_with(|| Story {
            component: message.component.clone(),
            firing: Vec::new(),
            resolved: None,
        });
        let severity = message.severity;
        let call = call(message);
        let accepted = Accepted { made_at, at, severity, call, known };
        match message.status {
            falconer::model::AlertStatus::Firing => story.firing.push(accepted),
            falconer::model::AlertStatus::Resolved => story.resolved = Some(accepted),
        }
        let name = Arc::clone(&receiver.name);
        self.say(format_args!(
            "{name} TAKES {} {} {}: {}{}",
            message.status.as_str(),
            severity.as_str(),
            message.incident,
            message.action,
            if known { "" } else { ", unknown to falconer" }
        ));
    }

    fn turned_down(&mut self, index: usize) {
        let now = self.now();
        self.receivers[index].failed_at = Some(now);
    }
}

//! `[[maintenance]]`, `[alerter.mute.NAME]` and `[recoverer] maintenance`: times that come again, as
//! people write them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::values::{self, HumanDuration, TimeOfDay};
use crate::model::{Held, Matchers, Severity};
use crate::policy::calendar::{Recurrence, RecurrenceError, Weekday};
use crate::policy::maintenance;

/// The time zone of what names none.
const UTC: &str = "UTC";

/// A time that comes again: as a cron expression, or at a time of day on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeSettings {
    /// When it begins, as a cron expression of five fields; empty where `from` says it.
    pub cron: String,
    /// On which days it begins; none = every day.
    #[serde(deserialize_with = "weekdays")]
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: TimeOfDay,
    /// How long it lasts.
    pub duration: HumanDuration,
    /// By whose clocks.
    pub time_zone: String,
}

impl Default for TimeSettings {
    fn default() -> Self {
        Self {
            cron: String::new(),
            days: Vec::new(),
            from: TimeOfDay::default(),
            duration: HumanDuration::from_secs(3_600),
            time_zone: UTC.to_owned(),
        }
    }
}

impl TimeSettings {
    /// The same as the policy takes it.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn to_policy(&self) -> Result<Recurrence, RecurrenceError> {
        let (zone, duration) = (self.time_zone.as_str(), self.duration.get());
        if self.cron.is_empty() {
            return Recurrence::weekly(&self.days, self.from.since_midnight(), zone, duration);
        }
        Recurrence::cron(&self.cron, zone, duration)
    }
}

/// What a window is about; empty names match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MatcherSettings {
    /// The cluster's name; `*` and `?` stand for letters.
    pub cluster: String,
    /// The component's name; `*` and `?` stand for letters.
    pub component: String,
    /// The severity of the incident; `None` = all.
    #[serde(deserialize_with = "severity")]
    pub severity: Option<Severity>,
}

impl MatcherSettings {
    /// The same as the policy takes it.
    pub fn to_policy(&self) -> Matchers {
        let given = |name: &String| (!name.is_empty()).then(|| Arc::from(name.as_str()));
        let (cluster, component) = (given(&self.cluster), given(&self.component));
        Matchers { cluster, component, severity: self.severity }
    }
}

fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Severity>, D::Error> {
    values::named(deserializer, [Severity::Warning, Severity::Critical], Severity::as_str).map(Some)
}

/// One of `[[maintenance]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowSettings {
    /// When it begins, as a cron expression of five fields; empty where `from` says it.
    pub cron: String,
    /// On which days it begins; none = every day.
    #[serde(deserialize_with = "weekdays")]
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: TimeOfDay,
    /// How long it lasts.
    pub duration: HumanDuration,
    /// By whose clocks.
    pub time_zone: String,
    /// What it is about.
    pub matchers: MatcherSettings,
    /// What is held meanwhile.
    #[serde(deserialize_with = "held")]
    pub holds: Vec<Held>,
    /// What it is for; shown wherever it holds something.
    pub comment: String,
}

impl Default for WindowSettings {
    fn default() -> Self {
        let TimeSettings { cron, days, from, duration, time_zone } = TimeSettings::default();
        let (matchers, holds) = (MatcherSettings::default(), Held::ALL.to_vec());
        let comment = String::new();
        Self { cron, days, from, duration, time_zone, matchers, holds, comment }
    }
}

impl WindowSettings {
    /// When it is open.
    pub fn time(&self) -> TimeSettings {
        let Self { cron, days, from, duration, time_zone, .. } = self.clone();
        TimeSettings { cron, days, from, duration, time_zone }
    }

    /// The same as the policy takes it.
    ///
    /// # Errors
    /// When its time makes no sense.
    pub fn to_policy(&self) -> Result<maintenance::MaintenanceWindow, RecurrenceError> {
        Ok(maintenance::MaintenanceWindow {
            time: self.time().to_policy()?,
            matchers: self.matchers.to_policy(),
            holds: self.holds.iter().copied().collect(),
            comment: self.comment.clone(),
        })
    }
}

fn held<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Held>, D::Error> {
    struct One(Held);
    impl<'de> Deserialize<'de> for One {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            values::named(deserializer, Held::ALL, Held::as_str).map(Self)
        }
    }
    let all = Vec::<One>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|one| one.0).collect())
}

/// One of `[recoverer] maintenance`: a time of the week, in UTC, in which nothing is restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaintenanceWindow {
    /// On which days it begins; none = every day.
    #[serde(deserialize_with = "weekdays")]
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: TimeOfDay,
    /// How long it lasts.
    pub duration: HumanDuration,
    /// What it is for; shown with each refusal.
    pub comment: String,
}

impl Default for MaintenanceWindow {
    fn default() -> Self {
        let TimeSettings { days, from, duration, .. } = TimeSettings::default();
        Self { days, from, duration, comment: String::new() }
    }
}

impl MaintenanceWindow {
    /// The same as one of `[[maintenance]]`.
    pub fn as_window(&self) -> WindowSettings {
        let Self { days, from, duration, comment } = self.clone();
        let holds = vec![Held::Recovery];
        WindowSettings { days, from, duration, holds, comment, ..WindowSettings::default() }
    }
}

fn weekdays<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Weekday>, D::Error> {
    struct Day(Weekday);
    impl<'de> Deserialize<'de> for Day {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            values::named(deserializer, Weekday::ALL, Weekday::as_str).map(Self)
        }
    }
    let days = Vec::<Day>::deserialize(deserializer)?;
    Ok(days.into_iter().map(|day| day.0).collect())
}

//! A question: its fields, what is required of them, and what is wrong with one that is not
//! understood.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::answer::Answer;
use super::step;
use crate::config::values::HumanDuration;
use crate::model::{Percent, Resources, Timestamp};
use crate::policy::scaling::caution::CautionSettings;
use crate::policy::scaling::figures::Figures;
use crate::policy::scaling::limits::History;
use crate::policy::scaling::load::{PodLoad, PodPhase, Sample};
use crate::policy::scaling::target::{self, Observation, Tolerance};
use crate::policy::scaling::{
    ChangeLimit, ChangeLimitKind, LimitSelect, ScalingBehavior, ScalingMode, ScalingSettings,
};

/// A value that may be `null` and must be there.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    now: Timestamp,
    settings: Settings,
    current_replicas: u32,
    /// Only metrics of other objects than pods would look at it, and there are none here.
    #[serde(default, rename = "status_replicas")]
    _status_replicas: Option<u32>,
    #[serde(borrow)]
    pods: Vec<Pod<'a>>,
    #[serde(deserialize_with = "required")]
    raw_desired: Option<u32>,
    recommendations: Vec<Recommendation>,
    scale_events: Vec<ScaleEvent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    mode: ScalingMode,
    min_replicas: u32,
    max_replicas: u32,
    #[serde(deserialize_with = "required")]
    cpu_threshold: Option<Percent>,
    #[serde(deserialize_with = "required")]
    memory_threshold: Option<Percent>,
    #[serde(default)]
    tolerance: Option<f64>,
    #[serde(default)]
    tolerance_up: Option<f64>,
    #[serde(default)]
    tolerance_down: Option<f64>,
    cpu_initialization_period: HumanDuration,
    initial_readiness_delay: HumanDuration,
    scale_up: Behavior,
    scale_down: Behavior,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Behavior {
    stabilization: HumanDuration,
    select: LimitSelect,
    policies: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(rename = "type")]
    kind: ChangeLimitKind,
    value: u32,
    period: HumanDuration,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pod<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    phase: Phase,
    #[serde(deserialize_with = "required")]
    ready: Option<bool>,
    #[serde(deserialize_with = "required")]
    ready_since: Option<Timestamp>,
    #[serde(deserialize_with = "required")]
    started_at: Option<Timestamp>,
    terminating: bool,
    requests: Requests,
    #[serde(deserialize_with = "required")]
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requests {
    #[serde(deserialize_with = "required")]
    cpu_milli: Option<u64>,
    #[serde(deserialize_with = "required")]
    memory_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Usage {
    #[serde(deserialize_with = "required")]
    cpu_milli: Option<u64>,
    #[serde(deserialize_with = "required")]
    memory_bytes: Option<u64>,
    sampled_at: Timestamp,
    window: HumanDuration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recommendation {
    at: Timestamp,
    replicas: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleEvent {
    at: Timestamp,
    change: i64,
}

/// Why a question is not understood.
#[derive(Debug)]
pub(super) struct Problem {
    /// The field, e.g. `pods[0].usage.window`; `.` for the object itself.
    field: String,
    message: String,
    is_unfinished: bool,
    /// In which line of an object that has several, counted from 0.
    line: usize,
}

impl Problem {
    fn at(field: &str, message: impl Into<String>) -> Self {
        let (field, message) = (field.to_owned(), message.into());
        Self { field, message, is_unfinished: false, line: 0 }
    }

    pub(super) fn too_long(limit: u64) -> Self {
        Self::at(".", format!("longer than {limit} bytes"))
    }

    /// Whether the text ends before the object does.
    pub(super) const fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    pub(super) const fn line_within(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field == "." {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

impl<'a> Question<'a> {
    /// Reads one object.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Problem> {
        // The end of an unfinished line would else be found on the next one.
        let text = text.trim_ascii_end();
        let question = match serde_json::from_slice::<Self>(text) {
            Ok(question) => question,
            // Finding the field costs time, so only where there is a problem.
            Err(error) => return Err(located(text, &error)),
        };
        question.sensible()?;
        Ok(question)
    }

    /// What the types alone do not tell.
    fn sensible(&self) -> Result<(), Problem> {
        let settings = &self.settings;
        if settings.max_replicas < settings.min_replicas {
            let message = "must not be smaller than min_replicas";
            return Err(Problem::at("settings.max_replicas", message));
        }
        let thresholds = [
            ("settings.cpu_threshold", settings.cpu_threshold),
            ("settings.memory_threshold", settings.memory_threshold),
        ];
        for (field, threshold) in thresholds {
            if threshold == Some(0) {
                return Err(Problem::at(field, "must be at least 1; null = not used"));
            }
        }
        let tolerances = [
            ("settings.tolerance", settings.tolerance),
            ("settings.tolerance_up", settings.tolerance_up),
            ("settings.tolerance_down", settings.tolerance_down),
        ];
        for (field, tolerance) in tolerances {
            if tolerance.is_some_and(|value| value < 0.0 || !value.is_finite()) {
                return Err(Problem::at(field, "must be 0 or more"));
            }
        }
        Ok(())
    }

    /// Asks the policy.
    pub(super) fn answer(&self) -> Answer<'_> {
        let settings = self.settings.settings();
        let recommendations: Vec<_> =
            self.recommendations.iter().map(|one| (one.at, one.replicas)).collect();
        let changes: Vec<_> = self.scale_events.iter().map(|one| (one.at, one.change)).collect();
        let history = History { recommendations: &recommendations, changes: &changes };
        let seen = Observation {
            current: self.current_replicas,
            pods: self.pods.iter().map(Pod::load).collect(),
            figure_targets: Figures::default(),
            raw_desired: self.raw_desired,
        };
        let name = self.name.as_deref();
        match settings.mode {
            ScalingMode::Target => {
                let judged = target::judge(&seen, &history, &settings, self.now);
                Answer::of_target(name, seen.current, &judged)
            }
            ScalingMode::Step => step::answer(name, &seen, &history, &settings, self.now),
        }
    }
}

/// The same problem with its field.
fn located(text: &[u8], error: &serde_json::Error) -> Problem {
    let mut from = serde_json::Deserializer::from_slice(text);
    let found = serde_path_to_error::deserialize::<_, Question<'_>>(&mut from).err();
    let field = found.as_ref().map_or_else(|| ".".to_owned(), |one| one.path().to_string());
    let message = found.map_or_else(|| error.to_string(), |one| one.into_inner().to_string());
    Problem {
        field,
        // "at line 1 column 7" would be read as the line of the input.
        message: message.rsplit_once(" at line ").map_or(message.clone(), |(text, place)| {
            let column = place.rsplit_once(' ').map_or(place, |(_, column)| column);
            format!("{text} (column {column})")
        }),
        is_unfinished: error.is_eof(),
        line: error.line().saturating_sub(1),
    }
}

impl Settings {
    fn settings(&self) -> ScalingSettings {
        let both = self.tolerance.unwrap_or(Tolerance::default().up);
        ScalingSettings {
            enabled: true,
            mode: self.mode,
            min_replicas: self.min_replicas,
            max_replicas: self.max_replicas,
            cpu_threshold: self.cpu_threshold,
            memory_threshold: self.memory_threshold,
            // Nor is what Milvus says of itself.
            figure_thresholds: Figures::default(),
            tolerance: Tolerance {
                up: self.tolerance_up.unwrap_or(both),
                down: self.tolerance_down.unwrap_or(both),
            },
            cpu_initialization_period: self.cpu_initialization_period.get(),
            initial_readiness_delay: self.initial_readiness_delay.get(),
            scale_up: self.scale_up.behavior(),
            scale_down: self.scale_down.behavior(),
            // What Milvus holds is no part of the question.
            caution: CautionSettings::default(),
        }
    }
}

impl Behavior {
    fn behavior(&self) -> ScalingBehavior {
        let limit = |policy: &Policy| ChangeLimit {
            kind: policy.kind,
            value: policy.value,
            period: policy.period.get(),
        };
        ScalingBehavior {
            stabilization: self.stabilization.get(),
            select: self.select,
            policies: self.policies.iter().map(limit).collect(),
        }
    }
}

impl Pod<'_> {
    fn load(&self) -> PodLoad {
        let phase = match self.phase {
            Phase::Pending => PodPhase::Pending,
            Phase::Running => PodPhase::Running,
            Phase::Succeeded => PodPhase::Succeeded,
            Phase::Failed => PodPhase::Failed,
            Phase::Unknown => PodPhase::Unknown,
        };
        let sample = |usage: &Usage| Sample {
            used: Resources { cpu_milli: usage.cpu_milli, memory_bytes: usage.memory_bytes },
            sampled_at: usage.sampled_at,
            window: usage.window.get(),
        };
        let Requests { cpu_milli, memory_bytes } = self.requests;
        PodLoad {
            name: Arc::from(&*self.name),
            phase,
            ready: self.ready,
            ready_since: self.ready_since,
            started_at: self.started_at,
            terminating: self.terminating,
            requests: Resources { cpu_milli, memory_bytes },
            usage: self.usage.as_ref().map(sample),
            figures: Figures::default(),
        }
    }
}

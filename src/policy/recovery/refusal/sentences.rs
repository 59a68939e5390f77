//! A refusal in words for people. A sentence is told once, so nothing in it counts down.

use std::fmt;
use std::time::Duration;

use super::RefusalReason;
use crate::policy::recovery::decision::write_skipped;
use crate::policy::recovery::settings::Budget;

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("recovery is disabled for this component"),
            Self::BelowThreshold { failures, threshold } => {
                write!(
                    f,
                    "nothing is done yet: {failures} failed probes in a row, {threshold} needed"
                )
            }
            Self::NotLeader { why } => write!(f, "nothing is done by this falconer: {why}"),
            Self::BreakerOpen { cluster, since, why } => write!(
                f,
                "nothing is done: recovery of {cluster} is stopped since {since}: {why}; nothing \
                 more is done there until a person has looked and says `falconer resume {cluster}`"
            ),
            Self::Quiet { why, until } => write!(f, "nothing is done: {why} until {until}"),
            Self::Held { workload, hold, sick_for } => {
                write!(f, "nothing is done: {workload}: {hold}{}", Overdue(*sick_for))
            }
            Self::SingleInstance { role } => write!(
                f,
                "nothing is done: the only {role} would be gone meanwhile; write a ladder under \
                 [recoverer.{role}] to allow it"
            ),
            Self::NoStandby { role, replicas } => write!(
                f,
                "nothing is done: only one of {replicas} replicas of the {role} is ready, and would \
                 be gone meanwhile; write a ladder under [recoverer.{role}] to allow it"
            ),
            Self::StillServes { skipped } => {
                f.write_str(
                    "nothing is done: it still serves, and no step is for its sick pods alone",
                )?;
                write_skipped(f, skipped)
            }
            Self::HealthyPod { pod } => write!(f, "not removed: pod {pod} is healthy"),
            Self::RestartOrder { first } => {
                write!(f, "nothing is done yet: {first} is sick and is restarted before it")
            }
            Self::NoWorkload => f.write_str("nothing to restart: falconer only tells"),
            Self::NoPlatform => {
                f.write_str("no platform is configured for this cluster: falconer only tells")
            }
            Self::PlatformUnavailable { error } => {
                write!(f, "nothing is done: the platform cannot be asked ({error})")
            }
            Self::DependencySick { dependencies } => write!(
                f,
                "nothing is done: it depends on {}, which {} sick: mend that first",
                list(dependencies),
                if dependencies.len() == 1 { "is" } else { "are" }
            ),
            Self::CommonCause { sick, watched } => write!(
                f,
                "nothing is done: {sick} of {watched} components are sick at once, which points to \
                 a common cause"
            ),
            Self::ScaledToZero { workload } => {
                write!(f, "nothing is done: {workload} is scaled to zero on purpose")
            }
            Self::SeveralWorkloads { workloads } => write!(
                f,
                "nothing is done: {} have replicas at the same time: a rollout may be in progress",
                list(workloads)
            ),
            Self::Paused { workload, sick_for } => {
                let overdue = Overdue(*sick_for);
                write!(f, "nothing is done: the rollout of {workload} is paused{overdue}")
            }
            Self::UnknownOwner { workload, kind, name } => write!(
                f,
                "nothing is done: {workload} is owned by {kind}/{name}, which falconer does not know"
            ),
            Self::RolloutInProgress { workload, sick_for } => {
                let overdue = Overdue(*sick_for);
                write!(
                    f,
                    "nothing is done: a rollout of {workload} is in progress already{overdue}"
                )
            }
            Self::BeingScaled { workload } => {
                write!(f, "nothing is done yet: the replicas of {workload} are being changed")
            }
            Self::AnotherInFlight { components, max_concurrent } => write!(
                f,
                "nothing is done yet: {} under way in this cluster, at most {max_concurrent} at a \
                 time",
                list(components)
            ),
            Self::Cooldown { .. } => f.write_str("nothing is done yet: cooldown"),
            Self::ComponentBudgetSpent { budget, .. } => {
                f.write_str(&spent("component's", *budget))
            }
            Self::ClusterBudgetSpent { budget, .. } => f.write_str(&spent("cluster's", *budget)),
            Self::GlobalBudgetSpent { budget, .. } => f.write_str(&spent("global", *budget)),
            Self::LeftToPerson { since } => write!(f, "left to a person since {since}"),
        }
    }
}

/// The end of a sentence about somebody who keeps falconer off for too long.
struct Overdue(Option<Duration>);

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |time| {
            write!(
                f,
                "; it has been sick for more than {}, and falconer does nothing while this lasts: \
                 somebody must look",
                words(time)
            )
        })
    }
}

fn spent(whose: &str, budget: Budget) -> String {
    let (actions, per) = (budget.actions, words(budget.per));
    format!("nothing is done: the {whose} budget of {actions} actions per {per} is spent")
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A duration for people: whole seconds, rounded up, so that nothing left to wait is "0s".
pub fn words(duration: Duration) -> String {
    let begun = u64::from(duration.subsec_nanos() > 0);
    let seconds = duration.as_secs().saturating_add(begun);
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

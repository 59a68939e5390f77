//! What is true of a component of the world, and what is seen of it.

use super::super::*;
use crate::model::{Hold, Role};

/// What is true of a component, whoever knows it.
pub struct Truth {
    pub id: ComponentId,
    pub role: Role,
    pub since: Timestamp,
    /// Of each of its pods, how often it was replaced.
    pub lives: [u32; 3],
    /// The revisions: number and content, the newest last.
    pub revisions: Vec<(u64, u32)>,
    pub revised_at: Timestamp,
    /// What speaks against any action on it, as in [`FORBIDDING`].
    pub forbidden: Option<u8>,
}

/// What speaks against any action, by the number that is generated.
pub const FORBIDDING: [&str; 8] = [
    "dependency_sick",
    "not_leader",
    "held",
    "paused",
    "quiet",
    "below_threshold",
    "platform_unavailable",
    "common_cause",
];

impl Truth {
    pub fn pod(&self, place: usize, pods: u8, now: Timestamp) -> PodState {
        let life = self.lives[place];
        let name = match self.role {
            // As of a StatefulSet: the same name each time.
            Role::DataNode => format!("p-{place}"),
            _ => format!("p-{place}-{life}"),
        };
        let is_sick = pods & (1 << place) != 0;
        let mut one = if is_sick { sick(&name, ReasonKind::Timeout) } else { well(&name) };
        if place == 1 && pods & 8 != 0 {
            one = pod_in(&name, PodCondition::NotReady);
        }
        if place == 2 && pods & 3 == 3 {
            one = ending(&name, now.minus(minutes(30)));
        }
        let content = self.revisions.last().map_or(0, |(_, content)| *content);
        one.pod.life.uid = Some(format!("{name}-{life}").into());
        one.pod.life.template = Some(format!("content-{content}").into());
        one
    }

    pub fn forbid(&self, one: &mut RecoveryRequest, now: Timestamp) {
        let Some(what) = self.forbidden else { return };
        match FORBIDDING[usize::from(what)] {
            "dependency_sick" => one.sick_dependencies = vec![ComponentId::new("a", "etcd")],
            "not_leader" => one.not_leader = Some("another is".to_owned()),
            "held" => one.workloads[0].holds = vec![Hold::ClusterPaused],
            "paused" => one.workloads[0].paused = true,
            "quiet" => {
                let until = now + minutes(1);
                one.quiet = Some(Quiet { why: "the window".to_owned(), until });
            }
            "below_threshold" => one.failures = one.failure_threshold - 1,
            "platform_unavailable" => {
                one.platform_error = Some(Reason::new(ReasonKind::PlatformUnavailable, "gone"));
            }
            _ => one.sick_components = one.watched_components,
        }
    }
}

//! Whether falconer sees everything it was told to watch, and can do what it was told to do about
//! it. Pure.

use std::sync::Arc;

use serde::Serialize;

use super::ServerSources;
use crate::actors::status::{ActorsStatus, ClusterBoard};
use crate::model::Leadership;

/// At most this many parts are named: thousands would help nobody, and cost more than they tell.
pub(super) const MOST_NAMED: usize = 100;

/// What can be not ready; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// The thread of the actors.
    Thread,
    /// What falconer was last told to do.
    Configuration,
    /// What a cluster consists of.
    Discovery,
    /// The first probe of a component.
    Probe,
    /// A way to tell people.
    Receiver,
    /// An actor that has ended and is about to be made anew.
    Actor,
    /// The election of the falconer that acts.
    Leadership,
}

/// A part that is not ready, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct NotReady {
    /// What kind of part.
    pub(super) part: Part,
    /// The cluster that it belongs to.
    pub(super) cluster: Option<Arc<str>>,
    /// The component; `None` where the whole cluster is not known yet.
    pub(super) component: Option<Arc<str>>,
    /// The receiver or the actor.
    pub(super) name: Option<Arc<str>>,
    /// A sentence for people.
    pub(super) reason: String,
}

impl NotReady {
    fn new(part: Part, reason: String) -> Self {
        Self { part, cluster: None, component: None, name: None, reason }
    }

    fn in_cluster(part: Part, cluster: &Arc<str>, reason: String) -> Self {
        Self { cluster: Some(Arc::clone(cluster)), ..Self::new(part, reason) }
    }

    fn named(part: Part, name: impl Into<Arc<str>>, reason: String) -> Self {
        Self { name: Some(name.into()), ..Self::new(part, reason) }
    }
}

impl ServerSources {
    /// The parts that are not ready, one more than [`MOST_NAMED`] at most; empty means ready. Asked
    /// every few seconds for as long as falconer lives, so it looks at the board and copies none of it.
    pub(super) fn not_ready(&self) -> Vec<NotReady> {
        let blocked = self.heartbeat.late().map(|(age, since)| {
            let reason = format!("it gave no sign of life for {} s, since {since}", age.as_secs());
            NotReady::new(Part::Thread, reason)
        });
        let clusters = self.about.get().clusters;
        let in_cluster = clusters.iter().flat_map(|name| {
            let Some(cluster) = self.status.shown(name) else {
                let reason = "its supervisor has not reported yet".to_owned();
                return vec![NotReady::in_cluster(Part::Discovery, name, reason)];
            };
            not_ready_in(name, &cluster)
        });
        let actors = backing_off(&self.status.actors());
        blocked.into_iter().chain(in_cluster).chain(actors).take(MOST_NAMED + 1).collect()
    }

    /// What somebody should mend although falconer is ready without it.
    pub(super) fn impaired(&self) -> Vec<NotReady> {
        let about = self.about.get();
        let faulty = about.rejected().map(|record| {
            let reason = format!("the file read at {} is faulty, the former one holds", record.at);
            NotReady::new(Part::Configuration, reason)
        });
        let actors = self.status.actors();
        faulty.into_iter().chain(receivers(&actors)).chain(no_leader(&actors)).collect()
    }
}

fn not_ready_in(name: &Arc<str>, cluster: &ClusterBoard) -> Vec<NotReady> {
    let (synced, platform_error) = cluster.discovery();
    if !synced {
        let reason = match platform_error {
            Some(error) => format!("discovery is not complete: {error}"),
            None => "discovery is not complete yet".to_owned(),
        };
        return vec![NotReady::in_cluster(Part::Discovery, name, reason)];
    }
    let unprobed = cluster.unprobed(MOST_NAMED + 1).into_iter();
    unprobed
        .map(|component| NotReady {
            component: Some(component),
            ..NotReady::in_cluster(Part::Probe, name, "it was not probed yet".to_owned())
        })
        .collect()
}

/// Those that were out of reach the last time somebody was to be told. A mail server that is down
/// is no reason to take falconer's metrics away from who reads them through a Service.
fn receivers(actors: &ActorsStatus) -> Vec<NotReady> {
    let out_of_reach = actors.alerter.receivers.iter().filter_map(|(name, receiver)| {
        let error = receiver.state.last_error.as_deref().unwrap_or("no answer");
        let waiting = receiver.waiting;
        let reason = match (receiver.dead_since, receiver.state.failed_at) {
            (Some(since), _) => {
                format!("accepts nothing since {since}, {waiting} alerts wait: {error}")
            }
            (None, Some(failed_at)) => format!("out of reach at {failed_at}: {error}"),
            (None, None) => return None,
        };
        Some(NotReady::named(Part::Receiver, Arc::clone(name), reason))
    });
    out_of_reach.collect()
}

/// A falconer that follows is as good as one that leads; one that cannot know leaves everything undone.
fn no_leader(actors: &ActorsStatus) -> Option<NotReady> {
    match &actors.leadership.leadership {
        Leadership::Unknown { why, since, .. } => {
            let reason =
                format!("nothing is acted upon, who leads is not known since {since}: {why}");
            Some(NotReady::new(Part::Leadership, reason))
        }
        Leadership::Standalone | Leadership::Leader { .. } | Leadership::Follower { .. } => None,
    }
}

fn backing_off(actors: &ActorsStatus) -> Vec<NotReady> {
    let not_there = actors.actors.iter().filter_map(|(name, actor)| {
        let reason = match actor.respawn_at {
            Some(at) => format!("{}; made anew at {at}", actor.reason),
            None if actor.beyond_help => format!("{}; falconer ends", actor.reason),
            None => return None,
        };
        Some(NotReady::named(Part::Actor, name.as_str(), reason))
    });
    not_there.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::alerter::ReceiverSnapshot;
    use crate::actors::status::{ActorSnapshot, ComponentCell, ComponentSnapshot};
    use crate::model::{ComponentHealth, HealthState, ProberKind, Timestamp};

    #[test]
    fn a_receiver_out_of_reach_and_an_actor_that_backs_off_are_named_with_their_reason() {
        let mut status = ActorsStatus::default();
        let at = Timestamp::from_millis(1_767_225_600_000);
        let mut receiver = ReceiverSnapshot::default();
        Arc::make_mut(&mut status.alerter).receivers.insert("slack".into(), receiver.clone());
        receiver.state.failed_at = Some(at);
        receiver.state.last_error = Some("email: connection refused".to_owned());
        Arc::make_mut(&mut status.alerter).receivers.insert("email".into(), receiver);
        let alive = ActorSnapshot {
            kind: "prober",
            respawns: 1,
            ended_at: at,
            reason: "panicked: oh".to_owned(),
            respawn_at: None,
            beyond_help: false,
        };
        let gone = ActorSnapshot { respawn_at: Some(at), ..alive.clone() };
        status.actors =
            [("a/prober/proxy".to_owned(), alive), ("a/prober/etcd".to_owned(), gone)].into();
        let found: Vec<NotReady> =
            receivers(&status).into_iter().chain(backing_off(&status)).collect();
        let found: Vec<(Part, &str, &str)> = found
            .iter()
            .map(|one| (one.part, one.name.as_deref().unwrap_or_default(), one.reason.as_str()))
            .collect();
        let expected = [
            (
                Part::Receiver,
                "email",
                "out of reach at 2026-01-01T00:00:00.000Z: email: connection refused",
            ),
            (Part::Actor, "a/prober/etcd", "panicked: oh; made anew at 2026-01-01T00:00:00.000Z"),
        ];
        assert_eq!(found, expected);
    }

    fn unprobed() -> ComponentSnapshot {
        let health = ComponentHealth {
            state: HealthState::Unknown,
            since: Timestamp::default(),
            reason: None,
            consecutive_failures: 0,
            consecutive_successes: 0,
        };
        ComponentSnapshot::blank(ProberKind::Http, health)
    }

    #[test]
    fn of_thousands_that_are_not_probed_yet_only_some_are_named() {
        let cluster = ClusterBoard::default();
        cluster.discovered(true, None);
        for number in 0..10_000 {
            cluster.show(format!("c{number}").into(), ComponentCell::new(unprobed()));
        }
        assert_eq!(not_ready_in(&"milvus-ha".into(), &cluster).len(), MOST_NAMED + 1);
    }
}

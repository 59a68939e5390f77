//! How far a rollout has come: once as `kubectl rollout status` judges it, once as "is one going on
//! right now". Pure; the caller reads the objects.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};

use crate::model::RolloutStatus;

/// Judges a workload's rollout.
pub trait Rollout {
    /// As `kubectl rollout status` does.
    ///
    /// # Errors
    /// The text says why the rollout of such a workload cannot be followed (`OnDelete`).
    fn rollout_status(&self) -> Result<RolloutStatus, String>;

    /// Whether pods are being replaced, added or removed right now. Pods that are merely not
    /// ready in a finished rollout do not count: those are sick. A workload that no controller has
    /// ever looked at does not roll either: nobody is there to roll it.
    fn is_rolling_out(&self) -> bool;
}

fn in_progress(message: String) -> RolloutStatus {
    RolloutStatus::InProgress { message }
}

fn not_observed() -> RolloutStatus {
    in_progress("the new specification has not been observed yet".to_owned())
}

fn is_orphaned(observed: Option<i64>) -> bool {
    observed.unwrap_or(0) == 0
}

fn is_observed(generation: Option<i64>, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) >= generation.unwrap_or(0)
}

/// The numbers of a Deployment that matter.
struct DeploymentFigures<'a> {
    observed: bool,
    wanted: i32,
    updated: i32,
    total: i32,
    available: i32,
    progressing: Option<(&'a str, &'a str)>,
}

impl<'a> DeploymentFigures<'a> {
    fn of(deployment: &'a Deployment) -> Self {
        let status = deployment.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let progressing =
            conditions.into_iter().flatten().find(|c| c.type_.as_deref() == Some("Progressing"));
        Self {
            observed: is_observed(
                deployment.metadata.generation,
                status.and_then(|status| status.observed_generation),
            ),
            wanted: deployment.spec.replicas.unwrap_or(1),
            updated: status.and_then(|status| status.updated_replicas).unwrap_or(0),
            total: status.and_then(|status| status.replicas).unwrap_or(0),
            available: status.and_then(|status| status.available_replicas).unwrap_or(0),
            progressing: progressing.map(|condition| {
                let reason = condition.reason.as_deref().unwrap_or_default();
                (reason, condition.message.as_deref().unwrap_or_default())
            }),
        }
    }
}

impl Rollout for Deployment {
    fn rollout_status(&self) -> Result<RolloutStatus, String> {
        let seen = DeploymentFigures::of(self);
        if !seen.observed {
            return Ok(not_observed());
        }
        if let Some(("ProgressDeadlineExceeded", message)) = seen.progressing {
            let message = format!("exceeded its progress deadline: {message}");
            return Ok(RolloutStatus::Failed { message });
        }
        let (wanted, updated, available) = (seen.wanted, seen.updated, seen.available);
        Ok(if updated < wanted {
            in_progress(format!("{updated} of {wanted} new replicas have been updated"))
        } else if seen.total > updated {
            let old = seen.total - updated;
            in_progress(format!("{old} old replicas are pending termination"))
        } else if available < updated {
            in_progress(format!("{available} of {updated} updated replicas are available"))
        } else {
            RolloutStatus::Complete
        })
    }

    fn is_rolling_out(&self) -> bool {
        if is_orphaned(self.status.as_ref().and_then(|status| status.observed_generation)) {
            return false;
        }
        let seen = DeploymentFigures::of(self);
        // Once a rollout has completed, its reason stays "available" however sick its pods become.
        let finished = seen.progressing.is_none_or(|(reason, _)| {
            matches!(reason, "NewReplicaSetAvailable" | "ProgressDeadlineExceeded")
        });
        !seen.observed
            || seen.updated < seen.wanted
            || seen.total > seen.updated
            || (seen.available < seen.updated && !finished)
    }
}

/// The numbers of a `StatefulSet` that matter.
struct StatefulSetFigures {
    observed: bool,
    rolls: bool,
    wanted: i32,
    partition: i32,
    ready: i32,
    updated: i32,
    same_revision: bool,
}

impl StatefulSetFigures {
    fn of(set: &StatefulSet) -> Self {
        let spec = &set.spec;
        let status = set.status.as_ref();
        let strategy = spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let observed = status.and_then(|status| status.observed_generation);
        Self {
            observed: observed.is_some() && is_observed(set.metadata.generation, observed),
            rolls: strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete"),
            wanted: spec.replicas.unwrap_or(1),
            partition: rolling.and_then(|rolling| rolling.partition).unwrap_or(0),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            updated: status.and_then(|status| status.updated_replicas).unwrap_or(0),
            same_revision: status.is_none_or(|s| s.update_revision == s.current_revision),
        }
    }
}

impl Rollout for StatefulSet {
    fn rollout_status(&self) -> Result<RolloutStatus, String> {
        let seen = StatefulSetFigures::of(self);
        if !seen.rolls {
            return Err("its update strategy is OnDelete: nothing rolls by itself".to_owned());
        }
        let beyond_partition = seen.wanted.saturating_sub(seen.partition);
        Ok(if !seen.observed {
            not_observed()
        } else if seen.ready < seen.wanted {
            in_progress(format!("{} of {} pods are ready", seen.ready, seen.wanted))
        } else if seen.partition > 0 {
            if seen.updated < beyond_partition {
                in_progress(format!(
                    "{} of {beyond_partition} pods beyond the partition have been updated",
                    seen.updated
                ))
            } else {
                RolloutStatus::Complete
            }
        } else if seen.same_revision {
            RolloutStatus::Complete
        } else {
            in_progress(format!("{} of {} pods have been updated", seen.updated, seen.wanted))
        })
    }

    fn is_rolling_out(&self) -> bool {
        if is_orphaned(self.status.as_ref().and_then(|status| status.observed_generation)) {
            return false;
        }
        let seen = StatefulSetFigures::of(self);
        let beyond_partition = seen.wanted.saturating_sub(seen.partition);
        // Without a partition the revisions are the same again only when every new pod is ready.
        let unfinished = seen.partition == 0 || seen.updated < beyond_partition;
        !seen.observed || (seen.rolls && !seen.same_revision && unfinished)
    }
}

/// The numbers of a `DaemonSet` that matter.
struct DaemonSetFigures {
    observed: bool,
    rolls: bool,
    wanted: i32,
    updated: i32,
    available: i32,
}

impl DaemonSetFigures {
    fn of(set: &DaemonSet) -> Self {
        let status = set.status.as_ref();
        let strategy = set.spec.update_strategy.as_ref();
        Self {
            observed: is_observed(
                set.metadata.generation,
                status.and_then(|status| status.observed_generation),
            ),
            rolls: strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete"),
            wanted: status.map_or(0, |status| status.desired_number_scheduled),
            updated: status.and_then(|status| status.updated_number_scheduled).unwrap_or(0),
            available: status.and_then(|status| status.number_available).unwrap_or(0),
        }
    }
}

impl Rollout for DaemonSet {
    fn rollout_status(&self) -> Result<RolloutStatus, String> {
        let seen = DaemonSetFigures::of(self);
        if !seen.rolls {
            return Err("its update strategy is OnDelete: nothing rolls by itself".to_owned());
        }
        let (wanted, updated, available) = (seen.wanted, seen.updated, seen.available);
        Ok(if !seen.observed {
            not_observed()
        } else if updated < wanted {
            in_progress(format!("{updated} of {wanted} new pods have been updated"))
        } else if available < wanted {
            in_progress(format!("{available} of {wanted} updated pods are available"))
        } else {
            RolloutStatus::Complete
        })
    }

    fn is_rolling_out(&self) -> bool {
        if is_orphaned(self.status.as_ref().and_then(|status| status.observed_generation)) {
            return false;
        }
        let seen = DaemonSetFigures::of(self);
        !seen.observed || (seen.rolls && seen.updated < seen.wanted)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_workload_that_no_controller_has_seen_does_not_roll() {
        let spec = json!({"replicas": 3});
        let (_, rolling_out) = judged::<Deployment>(spec, json!({"readyReplicas": 3}));
        assert!(!rolling_out);
    }

    fn judged<K: Rollout + DeserializeOwned>(
        spec: Value,
        status: Value,
    ) -> (Result<RolloutStatus, String>, bool) {
        let mut spec = spec;
        spec["selector"] = json!({});
        spec["template"] = json!({});
        let object: K = serde_json::from_value(
            json!({"metadata": {"name": "w", "generation": 3}, "spec": spec, "status": status}),
        )
        .expect("a workload");
        (object.rollout_status(), object.is_rolling_out())
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with a result")]
    fn says(text: &str) -> Result<RolloutStatus, String> {
        Ok(RolloutStatus::InProgress { message: text.to_owned() })
    }

    fn deployment(figures: [i32; 5], reason: &str) -> (Result<RolloutStatus, String>, bool) {
        let [observed, updated, total, ready, available] = figures;
        judged::<Deployment>(
            json!({"replicas": 3}),
            json!({"observedGeneration": observed, "updatedReplicas": updated, "replicas": total,
                "readyReplicas": ready, "availableReplicas": available,
                "conditions": [{"type": "Progressing", "status": "True", "reason": reason}]}),
        )
    }

    #[test]
    fn a_deployment_is_judged_as_kubectl_judges_it() {
        let rolling = "ReplicaSetUpdated";
        assert_eq!(
            deployment([2, 3, 3, 3, 3], rolling),
            (says("the new specification has not been observed yet"), true)
        );
        assert_eq!(
            deployment([3, 1, 4, 3, 3], rolling),
            (says("1 of 3 new replicas have been updated"), true)
        );
        assert_eq!(
            deployment([3, 3, 4, 3, 3], rolling),
            (says("1 old replicas are pending termination"), true)
        );
        assert_eq!(
            deployment([3, 3, 3, 2, 2], rolling),
            (says("2 of 3 updated replicas are available"), true)
        );
        assert_eq!(
            deployment([3, 3, 3, 3, 3], "NewReplicaSetAvailable"),
            (Ok(RolloutStatus::Complete), false)
        );
        let (status, rolling) = deployment([3, 1, 4, 3, 3], "ProgressDeadlineExceeded");
        assert!(matches!(status, Ok(RolloutStatus::Failed { .. })), "{status:?}");
        assert!(rolling);
    }

    #[test]
    fn a_sick_pod_in_a_finished_rollout_is_not_a_rollout() {
        let (status, rolling) = deployment([3, 3, 3, 1, 1], "NewReplicaSetAvailable");
        assert_eq!(status, says("1 of 3 updated replicas are available"));
        assert!(!rolling);
    }

    #[test]
    fn a_stateful_set_is_judged_by_its_revisions() {
        let set = |strategy: Value, ready: i32, updated: i32, current: &str| {
            judged::<StatefulSet>(
                json!({"replicas": 3, "serviceName": "s", "updateStrategy": strategy}),
                json!({"observedGeneration": 3, "replicas": 3, "readyReplicas": ready,
                    "updatedReplicas": updated, "currentRevision": current, "updateRevision": "b"}),
            )
        };
        let rolling = json!({"type": "RollingUpdate"});
        assert_eq!(set(rolling.clone(), 2, 1, "a"), (says("2 of 3 pods are ready"), true));
        assert_eq!(set(rolling.clone(), 3, 1, "a"), (says("1 of 3 pods have been updated"), true));
        assert!(set(rolling.clone(), 2, 3, "a").1, "the last new pod is not ready yet");
        assert_eq!(set(rolling.clone(), 3, 3, "b"), (Ok(RolloutStatus::Complete), false));
        assert_eq!(set(rolling, 1, 3, "b"), (says("1 of 3 pods are ready"), false));
        let parted = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        assert_eq!(
            set(parted.clone(), 3, 1, "a"),
            (says("1 of 2 pods beyond the partition have been updated"), true)
        );
        assert_eq!(set(parted, 3, 2, "a"), (Ok(RolloutStatus::Complete), false));
        let (status, rolls) = set(json!({"type": "OnDelete"}), 3, 0, "a");
        assert!(status.is_err());
        assert!(!rolls);
    }

    #[test]
    fn a_daemon_set_is_judged_by_its_nodes() {
        let set = |observed: i32, updated: i32, available: i32| {
            judged::<DaemonSet>(
                json!({}),
                json!({"observedGeneration": observed, "currentNumberScheduled": 3,
                    "desiredNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 3,
                    "updatedNumberScheduled": updated, "numberAvailable": available}),
            )
        };
        assert!(set(2, 3, 3).1);
        assert_eq!(set(3, 1, 3), (says("1 of 3 new pods have been updated"), true));
        assert_eq!(set(3, 3, 2), (says("2 of 3 updated pods are available"), false));
        assert_eq!(set(3, 3, 3), (Ok(RolloutStatus::Complete), false));
    }
}

//! Situations of the ladder, of pods, and of rollouts.

use super::target::own_restart_failed;
use super::*;
use crate::model::{Liveness, LivenessKind};

fn node() -> Case {
    Case::of(Role::QueryNode)
}

/// Sick since a minute after its newest revision, with a ladder that may go back.
fn bad_rollout() -> Case {
    node()
        .given(|r| {
            r.workloads[0].revision = Some(revision(START.minus(minutes(1))));
            r.pods = vec![newest("pod-new"), well("pod-old")];
            r.serves = true;
        })
        .set(|s| s.ladder = vec![LadderStep::Rollback, LadderStep::Escalate])
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = ladder();
    all.extend(rollbacks());
    all.extend(rollouts());
    all.extend(pods());
    all.extend(kubelet());
    all
}

fn ladder() -> Vec<Scenario> {
    let guard = Guard::Ladder;
    let kind = |kind: WorkloadKind| node().given(|r| r.workloads[0].reference.kind = kind);
    let hung = |r: &mut RecoveryRequest| {
        r.pods = vec![ending("pod-a", START.minus(minutes(60))), well("pod-b")];
        r.serves = true;
    };
    vec![
        scenario(
            guard,
            "a deadlocked process whose port is open: no liveness probe of Milvus' defaults sees it",
            "act delete_pod pod-a",
            node(),
        ),
        scenario(
            guard,
            "every pod is sick: one by one would only take longer",
            "act rollout_restart",
            node().given(|r| r.pods[1] = sick("pod-b", ReasonKind::Timeout)),
        ),
        scenario(
            guard,
            "the sick pod is the last that the platform has ready",
            "act rollout_restart",
            node().given(|r| r.pods[1] = crash_looping("pod-b")),
        ),
        scenario(guard, "no pod is known", "act rollout_restart", Case::whole(Role::QueryNode)),
        scenario(guard, "a StatefulSet", "act delete_pod pod-a", kind(WorkloadKind::StatefulSet)),
        scenario(guard, "a DaemonSet", "act delete_pod pod-a", kind(WorkloadKind::DaemonSet)),
        scenario(
            guard,
            "it serves, and its sick pod was replaced already",
            "refuse still_serves",
            node().given(|r| r.serves = true).after(|desk, request| {
                desk.act(request, START.minus(minutes(20)));
                desk.ledger.not_recovered(&request.component, START.minus(minutes(10)));
            }),
        ),
        scenario(
            guard,
            "a ladder that only tells",
            "escalate ladder_ends",
            node().set(|s| s.ladder = vec![LadderStep::Escalate]),
        ),
        scenario(
            guard,
            "it came back within the recurrence window after a restart that had helped",
            "escalate ladder_ends",
            Case::whole(Role::QueryNode).after(|desk, request| {
                desk.act(request, START.minus(minutes(8)));
                desk.ledger.recovered(&request.component, START.minus(minutes(5)));
            }),
        ),
        scenario(
            guard,
            "a pod hangs in its end for an hour (milvus-operator grants 30 days), and removing it \
             by force is not allowed",
            "refuse still_serves",
            node().given(hung),
        ),
        scenario(
            guard,
            "the same, allowed after 30 minutes",
            "act force_delete pod-a",
            node().given(hung).set(|s| s.force_delete_after = Some(minutes(30))),
        ),
        scenario(
            guard,
            "the same for a StatefulSet",
            "act force_delete pod-a",
            kind(WorkloadKind::StatefulSet)
                .given(hung)
                .set(|s| s.force_delete_after = Some(minutes(30))),
        ),
    ]
}

fn crash_looping(name: &str) -> PodState {
    PodState { sick: None, ..newest(name) }
}

fn rollbacks() -> Vec<Scenario> {
    let guard = Guard::Ladder;
    vec![
        scenario(
            guard,
            "the sickness began with the newest revision",
            "act rollback",
            bad_rollout(),
        ),
        scenario(
            guard,
            "pods of the revision before are sick too: it is not the revision",
            "refuse still_serves",
            bad_rollout().given(|r| r.pods.push(sick("pod-older", ReasonKind::Timeout))),
        ),
        scenario(
            guard,
            "it was well with the newest revision for two hours",
            "refuse still_serves",
            bad_rollout()
                .given(|r| r.workloads[0].revision = Some(revision(START.minus(minutes(120))))),
        ),
        scenario(
            guard,
            "milvus-operator writes the template from its custom resource and would undo it",
            "refuse still_serves",
            bad_rollout().given(|r| {
                r.workloads[0].owner = Owner::MilvusOperator { name: "ha".to_owned() };
            }),
        ),
        scenario(
            guard,
            "falconer has rolled back before, and what is there now is the revision it returned to",
            "escalate ladder_ends",
            bad_rollout()
                .given(|r| r.serves = false)
                .after(|desk, request| {
                    let mut first = request.clone();
                    let since = START.minus(minutes(60));
                    (first.unhealthy_since, first.incident) =
                        (since, IncidentId::new(&first.component, since));
                    first.workloads[0].revision = Some(revision(since));
                    desk.act(&first, since);
                    desk.ledger.recovered(&first.component, since + minutes(2));
                })
                .given(|r| {
                    let of_before = Revision {
                        number: 8,
                        previous: Some(7),
                        ..revision(START.minus(minutes(1)))
                    };
                    r.workloads[0].revision = Some(of_before);
                }),
        ),
    ]
}

fn rollouts() -> Vec<Scenario> {
    let guard = Guard::Rollout;
    let rolling = |case: Case| case.given(|r| r.workloads[0].rolling_out = true);
    vec![
        scenario(
            guard,
            "somebody else's rollout is in progress",
            "refuse rollout_in_progress",
            rolling(node()),
        ),
        scenario(
            guard,
            "the same for an hour: `ProgressDeadlineExceeded` comes after 30 days with \
             milvus-operator, so nobody else says so",
            "refuse rollout_for_long",
            rolling(node()).at(START + minutes(60)),
        ),
        scenario(
            guard,
            "our own restart has not rolled out in its time",
            "escalate rollout_stuck",
            own_restart_failed(
                rolling(node()).set(|s| s.ladder = vec![LadderStep::RolloutRestart; 2]),
            ),
        ),
        scenario(
            guard,
            "a bad rollout that does not end, in its first minutes",
            "refuse rollout_in_progress",
            rolling(bad_rollout()),
        ),
        scenario(
            guard,
            "the same after verify_timeout",
            "act rollback",
            rolling(bad_rollout()).at(START + minutes(9)),
        ),
        scenario(
            guard,
            "a pod that hangs in its end holds the rollout up, and may be removed by force",
            "act force_delete pod-b",
            rolling(node())
                .given(|r| r.pods[1] = ending("pod-b", START.minus(minutes(60))))
                .set(|s| s.force_delete_after = Some(minutes(30))),
        ),
    ]
}

fn pods() -> Vec<Scenario> {
    let guard = Guard::LastHealthyPod;
    let with = |other: PodState| node().given(|r| r.pods.push(other));
    let created = |one: PodState, at: Timestamp| {
        let mut one = one;
        one.pod.life.created_at = Some(at);
        one
    };
    let pending = || {
        let message = "ContainerCreating".to_owned();
        created(pod_in("pod-c", PodCondition::Pending { message }), START)
    };
    vec![
        scenario(
            guard,
            "another query node is being drained: one at a time",
            "wait other_pod",
            with(ending("pod-c", START)),
        ),
        scenario(
            guard,
            "the replacement of another pod is not up yet, so its segments are not loaded",
            "wait other_pod",
            with(pending()),
        ),
        scenario(
            guard,
            "another pod hangs in its end for an hour: not waited for for 30 days",
            "act delete_pod pod-a",
            with(ending("pod-c", START.minus(minutes(60)))),
        ),
        scenario(
            guard,
            "two of three pods are sick: the first goes, a healthy one stays",
            "act delete_pod pod-a",
            with(sick("pod-c", ReasonKind::Timeout)),
        ),
    ]
}

fn kubelet() -> Vec<Scenario> {
    let guard = Guard::Kubelet;
    let probed = |kind: LivenessKind, reason: ReasonKind| {
        node().given(|r| {
            r.pods[0] = sick("pod-a", reason);
            r.pods[0].pod.life.liveness =
                Some(Liveness { kind, deadline: Duration::from_secs(240) });
        })
    };
    vec![
        scenario(
            guard,
            "connection refused: the kubelet's TCP probe (Helm: 90s and 5 times 30s) fails too",
            "wait kubelet",
            probed(LivenessKind::Tcp, ReasonKind::Refused),
        ),
        scenario(
            guard,
            "the same after the probe's deadline: it did not act, or it did not help",
            "act delete_pod pod-a",
            probed(LivenessKind::Tcp, ReasonKind::Refused).at(START + minutes(4)),
        ),
        scenario(
            guard,
            "a deadlock: the port is open, so the kubelet's TCP probe passes for ever",
            "act delete_pod pod-a",
            probed(LivenessKind::Tcp, ReasonKind::Timeout),
        ),
        scenario(
            guard,
            "a liveness probe over HTTP sees the deadlock",
            "wait kubelet",
            probed(LivenessKind::Http, ReasonKind::Timeout),
        ),
        scenario(
            guard,
            "its startup probe (milvus-operator: 18 times 10s) has not succeeded yet",
            "wait starting",
            node().given(|r| r.pods[0].pod.life.starting_until = Some(START + minutes(3))),
        ),
        scenario(
            guard,
            "a crash loop: the kubelet has acted again and again, and it does not help",
            "act delete_pod pod-a",
            probed(LivenessKind::Tcp, ReasonKind::Refused).given(|r| {
                r.pods[0].pod.condition = newest("pod-a").pod.condition;
                r.pods[0].pod.life.starting_until = Some(START + minutes(3));
            }),
        ),
    ]
}

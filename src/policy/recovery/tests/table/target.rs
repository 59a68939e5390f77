//! Situations of the workload: who owns it, who is at work there, what runs.

use super::*;
use crate::model::{Autoscaler, Hold};

fn node() -> Case {
    Case::of(Role::QueryNode)
}

fn operated() -> Case {
    node().given(|r| r.workloads[0].owner = Owner::MilvusOperator { name: "ha".to_owned() })
}

fn held(hold: Hold) -> Case {
    operated().given(|r| r.workloads[0].holds = vec![hold])
}

/// The two Deployments of the operator, with so many replicas.
fn two(first: u32, second: u32) -> Case {
    operated().given(|r| {
        let owner = r.workloads[0].owner.clone();
        let of = |name: &str, replicas: u32| Workload {
            owner: owner.clone(),
            ..workload(&format!("ha-milvus-querynode-{name}"), replicas)
        };
        r.workloads = vec![of("0", first), of("1", second)];
    })
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = workloads();
    all.extend(holds());
    all.extend(alone());
    all
}

fn workloads() -> Vec<Scenario> {
    vec![
        scenario(
            Guard::Workload,
            "nothing that runs it is known: somebody else's etcd, or a platform without access",
            "refuse no_workload",
            node().given(|r| r.workloads.clear()),
        ),
        scenario(
            Guard::Ownership,
            "a custom resource that falconer does not know owns the Deployment",
            "refuse unknown_owner",
            node().given(|r| {
                let (kind, name) = ("MilvusFleet".to_owned(), "blue".to_owned());
                r.workloads[0].owner = Owner::Unknown { kind, name };
            }),
        ),
        scenario(
            Guard::Ownership,
            "milvus-operator owns it: a restart and an eviction survive its reconciliation",
            "act delete_pod pod-a",
            operated(),
        ),
        scenario(
            Guard::Ownership,
            "an HPA changes its replicas: this is no owner, and a restart changes none",
            "act delete_pod pod-a",
            node().given(|r| {
                let kind = "HorizontalPodAutoscaler".to_owned();
                r.workloads[0].autoscaler = Some(Autoscaler { kind, name: "hpa".to_owned() });
            }),
        ),
        scenario(
            Guard::OneWorkload,
            "scaled to zero on purpose",
            "refuse scaled_to_zero",
            node().given(|r| r.workloads[0].desired_replicas = 0),
        ),
        scenario(
            Guard::OneWorkload,
            "milvus-operator keeps two Deployments, both without replicas: the custom resource says 0",
            "refuse scaled_to_zero",
            two(0, 0),
        ),
        scenario(
            Guard::OneWorkload,
            "milvus-operator moves the pods from one of its two Deployments to the other",
            "refuse several_workloads",
            two(1, 2),
        ),
        scenario(
            Guard::OneWorkload,
            "of the operator's two Deployments the one with replicas is acted on",
            "act delete_pod pod-a",
            two(0, 2),
        ),
        scenario(
            Guard::Paused,
            "the Deployment's rollout is paused",
            "refuse paused",
            node().given(|r| r.workloads[0].paused = true),
        ),
        scenario(
            Guard::Paused,
            "the same for an hour: somebody has to hear of it",
            "refuse paused_for_long",
            node().given(|r| r.workloads[0].paused = true).at(START + minutes(60)),
        ),
        scenario(
            Guard::Scaling,
            "falconer's own scaler changes its replicas",
            "refuse being_scaled",
            node().given(|r| r.being_scaled = vec![r.workloads[0].reference.clone()]),
        ),
    ]
}

fn holds() -> Vec<Scenario> {
    let guard = Guard::OperatorHold;
    let updating = || Hold::Updating { message: "components are updating".to_owned() };
    let rolling = || Hold::Rolling { id: "5f2c".to_owned() };
    vec![
        scenario(guard, "the custom resource is paused", "refuse held", held(Hold::ClusterPaused)),
        scenario(
            guard,
            "the component is paused in the custom resource",
            "refuse held",
            held(Hold::ComponentPaused),
        ),
        scenario(guard, "manual mode", "refuse held", held(Hold::ManualMode)),
        scenario(guard, "`MilvusUpdated` is false", "refuse held", held(updating())),
        scenario(guard, "the component has a rolling id", "refuse held", held(rolling())),
        scenario(
            guard,
            "the pods are in the Deployment that is being left",
            "refuse held",
            held(Hold::LeavingGroup { current: "1".to_owned() }),
        ),
        scenario(
            guard,
            "`MilvusUpdated` is false for an hour, as it is while a pod that hangs in its end keeps \
             the operator from changing the template: never touched, but said",
            "refuse held_for_long",
            held(updating()).at(START + minutes(60)),
        ),
        scenario(
            guard,
            "our own restart has not ended in its time, and its rolling id stands there still",
            "escalate rollout_stuck",
            own_restart_failed(held(rolling())),
        ),
        scenario(
            guard,
            "the same, while somebody has paused the custom resource",
            "refuse held_for_long",
            own_restart_failed(
                operated().given(|r| r.workloads[0].holds = vec![rolling(), Hold::ClusterPaused]),
            ),
        ),
    ]
}

/// Restarted as a whole at once, without success; now it is twenty minutes later.
pub(super) fn own_restart_failed(case: Case) -> Case {
    let before = |desk: &mut Desk, request: &RecoveryRequest| {
        let mut request = request.clone();
        (request.pods, request.serves) = (Vec::new(), false);
        request.workloads[0].holds.clear();
        request.workloads[0].rolling_out = false;
        request.sick_others.clear();
        desk.act(&request, START);
        desk.ledger.not_recovered(&request.component, START + minutes(10));
    };
    case.after(before).at(START + minutes(20))
}

fn alone() -> Vec<Scenario> {
    let guard = Guard::SingleInstance;
    let one = |role: Role| {
        Case::of(role).given(|r| {
            r.workloads[0].desired_replicas = 1;
            r.pods.truncate(1);
        })
    };
    vec![
        scenario(
            guard,
            "standalone: everything would be gone meanwhile",
            "refuse single_instance",
            one(Role::Standalone),
        ),
        scenario(
            guard,
            "a coordinator without a standby, which Helm restarts with `Recreate`",
            "refuse single_instance",
            one(Role::MixCoord),
        ),
        scenario(
            guard,
            "the same up to 2.5: one of the coordinators",
            "refuse single_instance",
            one(Role::RootCoord),
        ),
        scenario(
            guard,
            "change data capture, of which there is always one",
            "refuse single_instance",
            one(Role::Cdc),
        ),
        scenario(
            guard,
            "a coordinator without a standby, with a ladder of its own in the configuration",
            "act delete_pod pod-a",
            one(Role::MixCoord).set(|s| s.explicit_ladder = true),
        ),
        scenario(
            guard,
            "a coordinator with a standby",
            "act delete_pod pod-a",
            Case::of(Role::MixCoord),
        ),
        scenario(
            guard,
            "the same, while the standby is not ready: the sick one is the last that is",
            "refuse no_standby",
            Case::of(Role::MixCoord).given(|r| {
                r.pods[1].pod.condition = PodCondition::NotReady;
                r.pods[1].sick = Some(Reason::new(ReasonKind::Timeout, "does not answer"));
            }),
        ),
        scenario(
            guard,
            "none of the two is ready: nothing is taken away",
            "act rollout_restart",
            Case::of(Role::MixCoord).given(|r| {
                for one in &mut r.pods {
                    one.pod.condition = PodCondition::NotReady;
                    one.sick = Some(Reason::new(ReasonKind::Timeout, "does not answer"));
                }
            }),
        ),
        scenario(
            guard,
            "a process of this machine, for which a start or restart command was given",
            "act rollout_restart",
            one(Role::Standalone).given(|r| {
                r.pods.clear();
                r.workloads[0].reference.kind = WorkloadKind::Process;
            }),
        ),
    ]
}

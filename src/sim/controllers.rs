//! What makes things happen to the objects: Deployments make ReplicaSets, those make pods, the
//! kubelet runs them. Each controller looks at the store and moves it one step on.

pub(super) mod deployment;
pub(super) mod disruption;
pub(super) mod kubelet;
pub(super) mod nodes;
pub(super) mod operator;
pub(super) mod ownership;
pub(super) mod replicaset;
pub(super) mod sets;
pub(super) mod template;

use std::time::Duration;

use kubelet::Kubelet;

use super::kubernetes::store::Store;

/// The longest pause between two rounds: what happens with time alone is noticed within it.
const ROUND: Duration = Duration::from_millis(50);
/// The shortest pause between two rounds.
const BREATH: Duration = Duration::from_millis(5);

/// Runs all controllers until the world ends.
pub(super) async fn run(store: Store, mut kubelet: Kubelet) {
    let mut pulse = store.pulse();
    loop {
        pulse.mark_unchanged();
        ownership::collect_garbage(&store);
        operator::reconcile(&store);
        deployment::reconcile(&store);
        replicaset::reconcile(&store);
        sets::reconcile(&store);
        nodes::reconcile(&store, &kubelet.faults);
        kubelet.reconcile();
        if let Some(held) = kubelet.load.held() {
            held.reconcile(&store);
        }
        disruption::reconcile(&store);
        tokio::time::sleep(BREATH).await;
        // Whether something changed or the round is over makes no difference.
        let _ = tokio::time::timeout(ROUND, pulse.changed()).await;
    }
}

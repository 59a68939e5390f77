//! Whether one pod was replaced, as opposed to a whole workload rolled out. Pure.

use std::sync::Arc;

use crate::model::{ComponentInventory, Inventory, Pod, PodCondition};
use crate::policy::recovery::{ActionUnderWay, PodTarget, RolloutProgress};

/// How far `action` has come, given the `status` of its workload's rollout: a pod that was to be
/// removed must be gone, and every replica that was not sick before and is not now must be ready.
pub(super) fn progress_of(
    action: &ActionUnderWay,
    status: RolloutProgress,
    inventory: &Inventory,
) -> RolloutProgress {
    let Some(target) = &action.pod else { return status };
    match &status {
        RolloutProgress::Failed { .. } | RolloutProgress::Unreadable { .. } => return status,
        RolloutProgress::NotAsked
        | RolloutProgress::InProgress { .. }
        | RolloutProgress::Complete => {}
    }
    if !inventory.is_current() {
        let message = format!("whether pod {} is gone cannot be seen now", target.name);
        return RolloutProgress::Unreadable { message };
    }
    match inventory.components.get(&action.component.component) {
        Some(component) => among(component, action, target, status),
        None => status,
    }
}

fn among(
    component: &ComponentInventory,
    action: &ActionUnderWay,
    target: &PodTarget,
    status: RolloutProgress,
) -> RolloutProgress {
    // Without an identifier it cannot be told from a successor of the same name.
    let is_target =
        |pod: &&Pod| target.uid.is_some() && pod.name == target.name && pod.life.uid == target.uid;
    if component.pods.iter().any(|pod| is_target(&pod)) {
        return RolloutProgress::InProgress {
            message: format!("pod {} is still there", target.name),
        };
    }
    let was_sick = |name: &Arc<str>| *name != target.name && action.sick_before.contains(name);
    let of_workload =
        |pod: &&Pod| pod.workload.as_ref().is_none_or(|workload| *workload == action.workload);
    let still_sick = component.pods.iter().filter(of_workload).filter(|pod| was_sick(&pod.name));
    let still_sick = still_sick.count();
    if still_sick == 0 {
        return status;
    }
    // What still holds the workload up are the others that were sick before: not this step's matter.
    let mut workloads = component.workloads.iter();
    let workload = workloads.find(|workload| workload.reference == action.workload);
    let desired = workload.map_or(0, |workload| workload.desired_replicas as usize);
    let wanted = desired.saturating_sub(still_sick);
    let ready = component
        .pods
        .iter()
        .filter(of_workload)
        .filter(|pod| pod.condition == PodCondition::Ready && !was_sick(&pod.name));
    let ready = ready.count();
    if ready >= wanted {
        return RolloutProgress::Complete;
    }
    let message = format!("{ready} of {wanted} pods that were not sick before are ready");
    RolloutProgress::InProgress { message }
}

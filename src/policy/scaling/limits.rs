//! What may delay or shrink a recommended change: stabilization windows and limits per period.
//! Independent of the mode that recommended it.

use super::ledger::ScalingLedger;
use super::reason::KeepReason;
use super::settings::{ChangeLimit, ChangeLimitKind, LimitSelect, ScalingSettings};
use crate::model::{ComponentId, Timestamp};

/// The number of replicas that may be set now, on the way from `current` to `recommended`.
///
/// # Errors
/// When that is `current`.
pub fn limit(
    component: &ComponentId,
    current: u32,
    recommended: u32,
    ledger: &ScalingLedger,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Result<u32, KeepReason> {
    let up = recommended > current;
    let behavior = if up { &settings.scale_up } else { &settings.scale_down };
    if behavior.select == LimitSelect::Disabled {
        return Err(KeepReason::DirectionDisabled { recommended });
    }
    let window = behavior.stabilization;
    let earlier = ledger.recommendations(component, window, now);
    // Upwards the lowest, downwards the highest recommendation of the window holds.
    let stable = if up {
        earlier.min().map_or(recommended, |lowest| lowest.min(recommended)).max(current)
    } else {
        earlier.max().map_or(recommended, |highest| highest.max(recommended)).min(current)
    };
    if stable == current {
        return Err(KeepReason::Stabilizing { recommended, window });
    }
    let bounds = behavior.policies.iter().map(|policy| {
        let change = ledger.change_within(component, policy.period, now);
        if up {
            ceiling(current, change.added, policy)
        } else {
            floor(current, change.removed, policy)
        }
    });
    // Which bound allows most depends on the direction.
    let bound = match (behavior.select, up) {
        (LimitSelect::Max, true) | (LimitSelect::Min, false) => bounds.max(),
        (LimitSelect::Min, true) | (LimitSelect::Max, false) | (LimitSelect::Disabled, _) => {
            bounds.min()
        }
    };
    let allowed = match bound {
        None => stable,
        Some(bound) if up => stable.min(bound).max(current),
        Some(bound) => stable.max(bound).min(current),
    };
    if allowed == current { Err(KeepReason::LimitReached { recommended }) } else { Ok(allowed) }
}

/// The most replicas, where `added` of `current` were added within the period.
fn ceiling(current: u32, added: u32, policy: &ChangeLimit) -> u32 {
    let at_start = current.saturating_sub(added);
    match policy.kind {
        ChangeLimitKind::Pods => at_start.saturating_add(policy.value),
        ChangeLimitKind::Percent => {
            (f64::from(at_start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as u32
        }
    }
}

/// The fewest replicas, where `removed` were taken away within the period.
fn floor(current: u32, removed: u32, policy: &ChangeLimit) -> u32 {
    let at_start = current.saturating_add(removed);
    match policy.kind {
        ChangeLimitKind::Pods => at_start.saturating_sub(policy.value),
        ChangeLimitKind::Percent => {
            (f64::from(at_start) * (1.0 - f64::from(policy.value) / 100.0)) as u32
        }
    }
}

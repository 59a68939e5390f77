//! The scaler's configuration: what holds for all, for each component, and its own deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::ComponentId;
use crate::policy::maintenance::MaintenanceWindow;
use crate::policy::scaling::ScalingSettings;

/// Everything of `[scaler]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScalerSettings {
    /// For components without a table of their own.
    pub default: ScalingSettings,
    /// By the component's name, already merged with `default`.
    pub overrides: BTreeMap<Arc<str>, ScalingSettings>,
    /// Which components are scaled at all.
    pub components: BTreeSet<Arc<str>>,
    /// At most one decision about a component in this time.
    pub interval: Duration,
    /// Whether the clusters given to the scaler only show what they would do. Here it only decides
    /// the words and suppresses events; it protects nothing by itself.
    pub dry_run: bool,
    /// How often the rollout of a change under way is asked for.
    pub poll_interval: Duration,
    /// How long the replicas of a change may take to be ready, before the next change is allowed.
    pub ready_timeout: Duration,
    /// The deadline of one scale request.
    pub request_timeout: Duration,
    /// The deadline of one question for the rollout status.
    pub status_timeout: Duration,
    /// The deadline of writing one event.
    pub event_timeout: Duration,
    /// The deadline of asking Milvus about its query nodes, or of telling it something.
    pub milvus_timeout: Duration,
    /// So long after a query node is gone every collection must have answered a query.
    pub verify_within: Duration,
    /// Windows that come again; those that hold scaling hold it here.
    pub maintenance: Vec<MaintenanceWindow>,
}

impl Default for ScalerSettings {
    fn default() -> Self {
        Self {
            default: ScalingSettings::default(),
            overrides: BTreeMap::new(),
            components: BTreeSet::from(["proxy".into(), "querynode".into()]),
            interval: Duration::from_secs(15),
            dry_run: false,
            poll_interval: Duration::from_secs(2),
            ready_timeout: Duration::from_secs(600),
            request_timeout: Duration::from_secs(30),
            status_timeout: Duration::from_secs(10),
            event_timeout: Duration::from_secs(3),
            milvus_timeout: Duration::from_secs(10),
            verify_within: Duration::from_mins(1),
            maintenance: Vec::new(),
        }
    }
}

impl ScalerSettings {
    /// What holds for `component`; `None` where it is not scaled.
    pub fn for_component(&self, component: &ComponentId) -> Option<&ScalingSettings> {
        let name = &component.component;
        self.components.contains(name).then(|| self.overrides.get(name).unwrap_or(&self.default))
    }
}

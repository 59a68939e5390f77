//! How busy the simulated components are, and what of it one pod has to bear.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::serving::Held;
use super::settings::ComponentSettings;

/// What one pod uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu_milli: u64,
    pub(super) memory_bytes: u64,
}

/// The load of every component. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub(super) struct Load {
    components: Arc<Mutex<BTreeMap<String, ComponentLoad>>>,
    held: Option<Held>,
}

#[derive(Debug)]
struct ComponentLoad {
    settings: ComponentSettings,
    total_milli: u64,
}

impl Load {
    pub(super) fn new(components: &[ComponentSettings]) -> Self {
        let components = components
            .iter()
            .map(|settings| {
                let total_milli = settings.load_cpu_milli;
                let load = ComponentLoad { settings: settings.clone(), total_milli };
                (settings.role.to_string(), load)
            })
            .collect();
        Self { components: Arc::new(Mutex::new(components)), held: None }
    }

    /// The same with data on the query nodes.
    pub(super) fn with_data(self, held: Option<Held>) -> Self {
        Self { held, ..self }
    }

    /// What the query nodes hold, where that is simulated.
    pub(super) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Sets the CPU that a component needs in all, in thousandths of a core; `None`: as at first.
    pub(super) fn set(&self, component: &str, total_milli: Option<u64>) {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(load) = components.get_mut(component) {
            load.total_milli = total_milli.unwrap_or(load.settings.load_cpu_milli);
        }
    }

    /// What one of `serving` pods uses now. A pod that does not serve only idles.
    pub(super) fn usage(&self, component: &str, serving: u64, serves: bool) -> Usage {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(load) = components.get(component) else {
            return Usage::default();
        };
        let share = if serves { load.total_milli / serving.max(1) } else { 0 };
        let idle = load.settings.cpu_request_milli / 50;
        let cpu_milli = (idle + share).min(load.settings.cpu_limit_milli);
        Usage { cpu_milli, memory_bytes: load.settings.memory_bytes }
    }

    /// How busy a component is compared with its normal load: 1 is normal.
    pub(super) fn factor(&self, component: &str) -> f64 {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.get(component).map_or(1.0, |load| {
            load.total_milli as f64 / load.settings.load_cpu_milli.max(1) as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn more_replicas_lower_the_load_of_each() {
        let settings = ComponentSettings::of(Role::Proxy, 2);
        let load = Load::new(std::slice::from_ref(&settings));
        load.set("proxy", Some(1_600));
        let two = load.usage("proxy", 2, true).cpu_milli;
        let four = load.usage("proxy", 4, true).cpu_milli;
        assert_eq!((two - four, load.usage("proxy", 4, false).cpu_milli), (400, 20));
        load.set("proxy", Some(1_000_000));
        assert_eq!(load.usage("proxy", 2, true).cpu_milli, settings.cpu_limit_milli);
        load.set("proxy", None);
        assert!((load.factor("proxy") - 1.0).abs() < f64::EPSILON);
    }
}

//! Maintenance windows: times that come again in which people work on something themselves, and
//! falconer is quiet about it. When they are open says `calendar`, what follows from it `quiet`.

use std::collections::BTreeSet;

use serde::Serialize;

use super::calendar::Recurrence;
use crate::model::{Held, Matchers};

/// A window that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MaintenanceWindow {
    /// When it is open.
    pub time: Recurrence,
    /// What it is about; with none everything.
    pub matchers: Matchers,
    /// What is held while it is open.
    pub holds: BTreeSet<Held>,
    /// What it is for, in people's words; may be empty.
    pub comment: String,
}

impl MaintenanceWindow {
    /// How people know it, e.g. `maintenance window "storage upgrades"`.
    pub fn name(&self) -> String {
        if self.comment.is_empty() {
            return format!("maintenance window ({})", self.time);
        }
        format!("maintenance window \"{}\"", self.comment)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{ComponentId, Severity, Timestamp};
    use crate::policy::calendar::Weekday;
    use crate::policy::quiet::InForce;
    use crate::policy::silence::SilenceBook;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).unwrap()
    }

    fn window(days: &[Weekday], hours: u64, held: &[Held]) -> MaintenanceWindow {
        let (from, lasts) = (Duration::from_hours(2), Duration::from_hours(hours));
        MaintenanceWindow {
            time: Recurrence::weekly(days, from, "UTC", lasts).unwrap(),
            matchers: Matchers::default(),
            holds: held.iter().copied().collect(),
            comment: String::new(),
        }
    }

    #[test]
    fn a_window_holds_what_it_says_about_what_it_says_and_the_latest_end_counts() {
        let mut proxies = window(&[], 1, &[Held::Alerts]);
        proxies.matchers.component = Some("proxy".into());
        proxies.comment = "proxies".to_owned();
        let windows = [proxies, window(&[Weekday::Sat], 3, &[Held::Recovery, Held::Alerts])];
        let silences = SilenceBook::default();
        let id = ComponentId::new("a", "proxy");
        let quiet = |held: Held, component: &ComponentId, now: &str| {
            let force = InForce::at(&windows, &silences, held, at(now));
            force.over(component, Some(Severity::Critical)).map(|quiet| quiet.why.clone())
        };
        // 3 January 2026 is a Saturday.
        let saturday = "maintenance window (sat 02:00 UTC for 3h)";
        let (friday, night) = ("2026-01-02T02:30:00Z", "2026-01-03T02:30:00Z");
        assert_eq!(quiet(Held::Alerts, &id, night).as_deref(), Some(saturday));
        assert_eq!(quiet(Held::Recovery, &id, night).as_deref(), Some(saturday));
        assert_eq!(quiet(Held::Scaling, &id, night), None);
        let proxies = "maintenance window \"proxies\"";
        assert_eq!(quiet(Held::Alerts, &id, friday).as_deref(), Some(proxies));
        assert_eq!(quiet(Held::Alerts, &ComponentId::new("a", "etcd"), friday), None);
        assert_eq!(quiet(Held::Recovery, &id, friday), None);
    }
}

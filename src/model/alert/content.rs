//! Parts of what a message says: what suffers, and what was seen. Plain data and its words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::model::component::ComponentId;
use crate::model::report::Reason;
use crate::model::time::Timestamp;

/// Something that is sick because of something else, as the message about its cause lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// What.
    pub component: ComponentId,
    /// How bad; `None` while it fails fewer times than it takes to be called unhealthy.
    pub severity: Option<Severity>,
    /// Since when.
    pub since: Timestamp,
}

/// `querynode: critical since 2026-01-01T00:00:00.000Z`.
impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = self.severity.map_or("failing", Severity::as_str);
        write!(f, "{}: {how} since {}", self.component.component, self.since)
    }
}

/// Something that was seen of an incident, as often as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// What the probe said.
    pub reason: Reason,
    /// When it said so first.
    pub first_at: Timestamp,
    /// When it said so last.
    pub last_at: Timestamp,
    /// How often it did.
    pub times: u32,
    /// How long the newest such probe took, in milliseconds.
    pub latency_ms: u64,
}

/// `2026-01-01T00:00:00.000Z to 2026-01-01T00:00:20.000Z, 3 times: no answer within 5 s (5003 ms)`.
impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, first_at, last_at, times, latency_ms } = self;
        match times {
            0 | 1 => write!(f, "{first_at}: ")?,
            _ => write!(f, "{first_at} to {last_at}, {times} times: ")?,
        }
        write!(f, "{} ({latency_ms} ms)", reason.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::ReasonKind;
    use std::time::Duration;

    #[test]
    fn what_suffers_and_what_was_seen_are_told_in_one_line_each() {
        let since = Timestamp::from_millis(1_767_225_600_000);
        let component = ComponentId::new("milvus-ha", "querynode");
        let mut affected = Affected { component, severity: Some(Severity::Critical), since };
        assert_eq!(affected.to_string(), "querynode: critical since 2026-01-01T00:00:00.000Z");
        affected.severity = None;
        assert_eq!(affected.to_string(), "querynode: failing since 2026-01-01T00:00:00.000Z");

        let reason = Reason::new(ReasonKind::Timeout, "no answer within 5 s");
        let (first_at, last_at) = (since, since);
        let mut seen = Sighting { reason, first_at, last_at, times: 1, latency_ms: 5_003 };
        assert_eq!(seen.to_string(), "2026-01-01T00:00:00.000Z: no answer within 5 s (5003 ms)");
        (seen.last_at, seen.times) = (since + Duration::from_secs(20), 3);
        assert_eq!(
            seen.to_string(),
            "2026-01-01T00:00:00.000Z to 2026-01-01T00:00:20.000Z, 3 times: no answer within 5 s (5003 ms)"
        );
    }
}

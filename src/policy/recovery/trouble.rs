//! What kind of trouble a component is in, as far as a step against it is concerned. Coarser than the
//! reasons of probes, of which one and the same trouble gives several: what crashes is refused first,
//! then not running, then in a crash loop.

use serde::{Deserialize, Serialize};

use crate::model::ReasonKind;

/// A kind of trouble; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It is not there, or ends again and again.
    Gone,
    /// It is there, and keeps silent.
    Silent,
    /// It answers, and not as it should.
    Sick,
    /// Single pods of it are in trouble.
    Pods,
    /// It serves badly.
    Poor,
    /// What it is cannot be told.
    Unclear,
}

impl Trouble {
    /// The trouble behind a reason.
    pub const fn of(kind: ReasonKind) -> Self {
        match kind {
            ReasonKind::Refused
            | ReasonKind::Connection
            | ReasonKind::NoPods
            | ReasonKind::ScaledToZero
            | ReasonKind::NoneReady
            | ReasonKind::Pending
            | ReasonKind::CrashLoop
            | ReasonKind::NotRunning => Self::Gone,
            ReasonKind::Timeout => Self::Silent,
            ReasonKind::Status
            | ReasonKind::BadAnswer
            | ReasonKind::Unauthorized
            | ReasonKind::ReportedUnhealthy => Self::Sick,
            ReasonKind::SomePods | ReasonKind::Terminating => Self::Pods,
            ReasonKind::Limited | ReasonKind::CanaryFailed => Self::Poor,
            ReasonKind::PlatformUnavailable | ReasonKind::Unsupported | ReasonKind::OwnLimit => {
                Self::Unclear
            }
        }
    }
}

//! How falconer itself does.

use serde::Serialize;

/// How falconer itself does, as it tells a watchdog outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "condition", rename_all = "snake_case")]
pub enum Condition {
    /// It sees, decides, and can tell people.
    Well,
    /// Somebody should look after it.
    Unwell {
        /// One line, no secrets.
        why: String,
    },
}

impl Condition {
    /// Unwell, if anything is wrong.
    pub fn of(troubles: &[String]) -> Self {
        if troubles.is_empty() { Self::Well } else { Self::Unwell { why: troubles.join("; ") } }
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        match self {
            Self::Well => true,
            Self::Unwell { .. } => false,
        }
    }
}

//! A notification in words for people: its subject, the facts, the paragraphs, and both parts of a
//! mail. Everything that came from outside is made harmless here: one line, bounded, escaped. Knows
//! nothing of transports.
//!
//! Short forms (a chat, a log, a webhook's description) take [`subject`], [`facts`] and
//! [`paragraphs`]: the alert that matters most in full, the others in a line each. A mail shows
//! several in full.

mod content;
mod html;
mod safe;
mod subject;
mod text;

pub use content::{
    LOOK_CLOSER, alert_facts, alert_paragraphs, alert_title, brief, facts, paragraphs,
};
pub use html::html;
pub use safe::{escape, fingerprint, one_line};
pub use subject::{headline, lasted, span, stable_subject, subject, tag, title, topic};
pub use text::text;

/// The longest error text that is kept, in bytes.
pub const ERROR_LIMIT: usize = 300;

#[cfg(test)]
pub(crate) mod tests;

//! What is wrong with a configuration, and where. Owns the wording's frame
//! (`actors.toml:12:1: …`) and the order; the rules themselves are elsewhere.

use std::fmt;
use std::sync::Arc;

/// More problems than this are counted, not shown.
const SHOWN_PROBLEMS: usize = 100;

/// Where a value was written. The order is that of a report: file first, in the order of its
/// lines, then the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// The file as a whole.
    Whole {
        /// The file as the user named it.
        file: Arc<str>,
    },
    /// A place in the file, both counted from 1.
    File {
        /// The file as the user named it.
        file: Arc<str>,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// The variable's name.
        variable: String,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { file } => f.write_str(file),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment { variable } => f.write_str(variable),
        }
    }
}

/// One thing that is wrong (or, as a warning, without effect).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub location: Location,
    /// What, naming the key.
    pub message: String,
}

/// `actors.toml:12:1: unknown key …`, always one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {}", self.location, self.message);
        line.chars().try_for_each(|c| {
            use fmt::Write as _;
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}

/// Everything that is wrong, at least one problem, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// `problems` in order, each once.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { problems }
    }

    /// One problem with the file as a whole.
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        let location = Location::Whole { file: file.into() };
        Self { problems: vec![Problem { location, message: message.into() }] }
    }

    /// The problems, in order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// One problem a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().take(SHOWN_PROBLEMS).enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.problems.len() > SHOWN_PROBLEMS {
            write!(f, "\n… and {} more", self.problems.len() - SHOWN_PROBLEMS)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

//! What mode "target" may look at.

use crate::policy::scaling::figures::Figure;
use crate::policy::scaling::load::Resource;

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// What is used of a resource in per cent of the requests.
    Resource(Resource),
    /// What Milvus says of itself.
    Figure(Figure),
}

impl Metric {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Resource(Resource::Cpu) => "CPU",
            Self::Resource(Resource::Memory) => "memory",
            Self::Figure(figure) => figure.words(),
        }
    }
}

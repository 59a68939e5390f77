//! What a history is made of.

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The platform took it.
    Accepted,
    /// Never.
    Refused,
    /// An error, after which it may have arrived all the same.
    Lost { arrived: bool },
    /// A dry run.
    Shown,
    /// None before falconer is made anew.
    None { arrived: bool },
    /// It was not even asked.
    Withheld,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Step {
    /// A component is reported sick; `pods` says which of its three are.
    Report {
        component: usize,
        anew: bool,
        serves: bool,
        pods: u8,
        answer: Answer,
    },
    Pass {
        seconds: u64,
    },
    Healthy {
        component: usize,
    },
    /// Its rollout has ended, and all is well.
    Cure {
        component: usize,
    },
    /// The platform tells that a rollout has ended.
    Rollout {
        component: usize,
        complete: bool,
    },
    /// Somebody deploys another revision.
    Deploy {
        component: usize,
    },
    /// Something speaks against every action on the component, or on its cluster.
    Forbid {
        component: usize,
        what: u8,
    },
    /// Nothing does any more.
    Allow,
    Respawn,
    /// All that is left is what was saved.
    Kill,
    Reset {
        cluster: usize,
    },
}

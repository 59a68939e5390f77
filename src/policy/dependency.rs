//! What depends on what in a Milvus cluster, and which sick component is the cause of which other.
//! The one place that knows it: recovery refuses to restart what suffers from something else, and
//! people are told of the cause alone, by the same rules. Pure; watches and tells nothing.
//!
//! ```text
//! etcd, object store, message log        what the cluster's `depends_on` names
//!   └── coordinators                     while none serves: one that still does is no cause
//!         └── nodes and proxies
//!               └── the service          what Milvus' clients see
//! the platform's API
//!   └── CPU and memory of the pods       read through the same API, and nothing else depends on it
//! ```
//!
//! The platform's API is no cause of a sick component: pods serve without it. What cannot be judged
//! without it is not judged at all.

use crate::model::{ComponentId, ProberKind, Role, Timestamp};
use crate::policy::recovery::order::{is_coordinator, is_directed};

/// Where a component stands in what depends on what, the most basic first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The API of the platform that runs the pods.
    Platform,
    /// What the cluster cannot be without: etcd, the object store, the message log.
    Dependency,
    /// What directs the nodes.
    Coordinator,
    /// Any other part of Milvus.
    Part {
        /// Whether it cannot do its work without the coordinators.
        is_directed: bool,
    },
    /// Something beside Milvus that is watched with it.
    Beside,
    /// Milvus as its clients see it.
    Service,
    /// What is read of the pods through the platform's API.
    Readings,
}

impl Place {
    /// The place of the component `name`, which is probed like this. `is_dependency`: the cluster's
    /// `depends_on` names it. `is_run`: the platform runs it as a workload.
    pub fn of(name: &str, kind: ProberKind, is_dependency: bool, is_run: bool) -> Self {
        if is_dependency {
            return Self::Dependency;
        }
        match (kind, Role::parse(name)) {
            (ProberKind::Platform, _) => Self::Platform,
            (ProberKind::Resources, _) => Self::Readings,
            (ProberKind::Milvus, _) => Self::Service,
            (_, Some(role)) => Self::of_role(role),
            (_, None) if is_run => Self::Part { is_directed: false },
            (_, None) => Self::Beside,
        }
    }

    /// The place of a part of Milvus.
    pub const fn of_role(role: Role) -> Self {
        if is_coordinator(role) {
            Self::Coordinator
        } else {
            Self::Part { is_directed: is_directed(role) }
        }
    }

    /// Whether what stands here cannot be well while what stands at `other` does not serve, be it
    /// directly or by way of something else.
    pub const fn rests_on(self, other: Self) -> bool {
        match other {
            Self::Platform => matches!(self, Self::Readings),
            Self::Dependency => match self {
                Self::Coordinator | Self::Part { .. } | Self::Beside | Self::Service => true,
                Self::Platform | Self::Dependency | Self::Readings => false,
            },
            Self::Coordinator => matches!(self, Self::Part { is_directed: true } | Self::Service),
            Self::Part { .. } => matches!(self, Self::Service),
            Self::Beside | Self::Service | Self::Readings => false,
        }
    }

    /// Whether something can rest on what stands here.
    pub const fn can_be_cause(self) -> bool {
        match self {
            Self::Platform | Self::Dependency | Self::Coordinator | Self::Part { .. } => true,
            Self::Beside | Self::Service | Self::Readings => false,
        }
    }
}

/// Whether what has the role `cause` must serve for what has the role `of` to become well.
pub fn directs(cause: Option<Role>, of: Option<Role>) -> bool {
    match (cause, of) {
        (Some(cause), Some(of)) => Place::of_role(of).rests_on(Place::of_role(cause)),
        (Some(_) | None, _) => false,
    }
}

/// What is known of a component that may be the cause of another one's trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It serves, though perhaps not all of it does.
    Serves,
    /// It fails, but not often enough yet to be called unhealthy; or it was not asked since the
    /// trouble began.
    Undecided {
        /// By when it is known: what its threshold still needs, or its next probe.
        until: Timestamp,
    },
    /// It is unhealthy.
    Unhealthy,
}

/// What is the cause of one component's trouble.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    /// Known to be, the most basic first.
    pub known: Vec<ComponentId>,
    /// Perhaps, the most basic first.
    pub suspected: Vec<ComponentId>,
    /// By when the last of those is decided.
    pub decided_by: Option<Timestamp>,
}

/// The causes of the trouble of `component`, which stands at `place`, among `others`.
pub fn causes(
    component: &ComponentId,
    place: Place,
    others: impl IntoIterator<Item = (ComponentId, Place, Standing)>,
) -> Causes {
    let is_below =
        |(id, other, _): &(ComponentId, Place, Standing)| id != component && place.rests_on(*other);
    let mut below: Vec<_> = others.into_iter().filter(is_below).collect();
    below.sort_by(|(one, at, _), (other, other_at, _)| (at, one).cmp(&(other_at, other)));
    let mut causes = Causes::default();
    for (id, _, standing) in below {
        match standing {
            Standing::Serves => {}
            Standing::Undecided { until } => {
                causes.decided_by = causes.decided_by.max(Some(until));
                causes.suspected.push(id);
            }
            Standing::Unhealthy => causes.known.push(id),
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ComponentId {
        ComponentId::new("milvus-ha", name)
    }

    fn place(name: &str) -> Place {
        match name {
            "kubernetes" => Place::of(name, ProberKind::Platform, false, false),
            "resources" => Place::of(name, ProberKind::Resources, false, false),
            "milvus" => Place::of(name, ProberKind::Milvus, false, false),
            "etcd" | "minio" => Place::of(name, ProberKind::Http, true, false),
            "attu" => Place::of(name, ProberKind::Http, false, false),
            _ => Place::of(name, ProberKind::Pods, false, true),
        }
    }

    const ALL: [&str; 11] = [
        "kubernetes",
        "etcd",
        "minio",
        "mixcoord",
        "proxy",
        "querynode",
        "datanode",
        "standalone",
        "attu",
        "milvus",
        "resources",
    ];

    /// Who suffers while `cause` does not serve.
    fn sufferers(cause: &str) -> Vec<&'static str> {
        ALL.into_iter().filter(|name| place(name).rests_on(place(cause))).collect()
    }

    #[test]
    fn who_suffers_from_what() {
        let milvus = ["mixcoord", "proxy", "querynode", "datanode", "standalone", "attu", "milvus"];
        let table: [(&str, &[&str]); 9] = [
            ("etcd", &milvus),
            ("minio", &milvus),
            ("mixcoord", &["proxy", "querynode", "datanode", "milvus"]),
            ("querynode", &["milvus"]),
            ("standalone", &["milvus"]),
            ("attu", &[]),
            ("milvus", &[]),
            ("resources", &[]),
            // Pods serve without the API.
            ("kubernetes", &["resources"]),
        ];
        for (cause, expected) in table {
            assert_eq!(sufferers(cause), expected, "{cause}");
        }
    }

    #[test]
    fn nothing_rests_on_itself_even_by_way_of_others() {
        for one in ALL {
            assert!(!place(one).rests_on(place(one)), "{one}");
            for other in sufferers(one) {
                assert!(!place(one).rests_on(place(other)), "{one} and {other}");
                assert!(place(one).can_be_cause(), "{one}");
                // What rests on what rests on it rests on it as well.
                for third in sufferers(other) {
                    assert!(place(third).rests_on(place(one)), "{third}, {other}, {one}");
                }
            }
        }
    }

    #[test]
    fn the_most_basic_cause_comes_first_and_what_serves_is_none() {
        let until = Timestamp::from_millis(5_000);
        let others = [
            ("milvus", Standing::Unhealthy),
            ("datanode", Standing::Unhealthy),
            ("mixcoord", Standing::Unhealthy),
            ("minio", Standing::Serves),
            ("etcd", Standing::Unhealthy),
        ];
        let among = |others: &[(&str, Standing)], of: &str| {
            let others = others.iter().map(|(name, standing)| (id(name), place(name), *standing));
            causes(&id(of), place(of), others)
        };
        assert_eq!(among(&others, "querynode").known, [id("etcd"), id("mixcoord")]);
        assert_eq!(among(&others, "mixcoord").known, [id("etcd")]);
        assert_eq!(among(&others, "milvus").known, [id("etcd"), id("mixcoord"), id("datanode")]);
        assert_eq!(among(&others, "etcd"), Causes::default());

        let others = [("mixcoord", Standing::Unhealthy), ("etcd", Standing::Undecided { until })];
        let found = among(&others, "querynode");
        assert_eq!((found.known, found.suspected), (vec![id("mixcoord")], vec![id("etcd")]));
        assert_eq!(found.decided_by, Some(until));
    }

    #[test]
    fn only_coordinators_direct_and_only_nodes_are_directed() {
        for cause in Role::ALL {
            for of in Role::ALL {
                let expected = is_coordinator(cause) && is_directed(of);
                assert_eq!(directs(Some(cause), Some(of)), expected, "{cause} {of}");
            }
        }
        assert!(!directs(None, Some(Role::QueryNode)) && !directs(Some(Role::MixCoord), None));
    }
}

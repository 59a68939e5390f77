//! In which order the components of a Milvus cluster are restarted where several are sick. Source:
//! milvus-operator's dependency graph for upgrades (`pkg/controllers/dependency_graph.go`).

use super::request::RecoveryRequest;
use crate::model::Role;

/// The order up to 2.5: coordinators before the nodes they direct, the front door last.
const BEFORE_2_6: [Role; 12] = [
    Role::IndexNode,
    Role::RootCoord,
    Role::DataCoord,
    Role::IndexCoord,
    Role::QueryCoord,
    Role::MixCoord,
    Role::StreamingNode,
    Role::QueryNode,
    Role::DataNode,
    Role::Proxy,
    Role::Standalone,
    Role::Cdc,
];

/// The order since 2.6, where the streaming nodes own the log.
const SINCE_2_6: [Role; 12] = [
    Role::MixCoord,
    Role::RootCoord,
    Role::DataCoord,
    Role::IndexCoord,
    Role::QueryCoord,
    Role::StreamingNode,
    Role::QueryNode,
    Role::DataNode,
    Role::IndexNode,
    Role::Proxy,
    Role::Standalone,
    Role::Cdc,
];

/// The roles in the order in which they are restarted. Without a version that can be read: the
/// newer one where streaming nodes are about, else the older one; they differ in little else.
pub fn of(request: &RecoveryRequest) -> &'static [Role; 12] {
    let streams = request.role.iter().chain(request.sick_others.iter().flat_map(|one| &one.role));
    let is_new = match request.milvus_version.as_deref().and_then(major_minor) {
        Some(version) => version >= (2, 6),
        None => streams.into_iter().any(|role| *role == Role::StreamingNode),
    };
    if is_new { &SINCE_2_6 } else { &BEFORE_2_6 }
}

/// The place of `role` in `order`; whatever is no part of Milvus comes last.
pub fn place(order: &[Role], role: Option<Role>) -> usize {
    role.and_then(|role| order.iter().position(|one| *one == role)).unwrap_or(order.len())
}

/// Whether it directs nodes.
pub const fn is_coordinator(role: Role) -> bool {
    match role {
        Role::MixCoord
        | Role::RootCoord
        | Role::DataCoord
        | Role::QueryCoord
        | Role::IndexCoord => true,
        Role::Proxy
        | Role::DataNode
        | Role::QueryNode
        | Role::IndexNode
        | Role::StreamingNode
        | Role::Standalone
        | Role::Cdc => false,
    }
}

/// Whether it cannot do its work without the coordinators.
pub const fn is_directed(role: Role) -> bool {
    match role {
        Role::Proxy | Role::DataNode | Role::QueryNode | Role::IndexNode | Role::StreamingNode => {
            true
        }
        Role::MixCoord
        | Role::RootCoord
        | Role::DataCoord
        | Role::QueryCoord
        | Role::IndexCoord
        | Role::Standalone
        | Role::Cdc => false,
    }
}

/// `v2.3.5-lite` → (2, 3).
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_with_or_without_its_letter_and_its_tail() {
        assert_eq!(major_minor("v2.3.5-lite"), Some((2, 3)));
        assert_eq!(major_minor("2.6.0"), Some((2, 6)));
        assert_eq!(major_minor("master"), None);
    }

    #[test]
    fn every_role_has_one_place_in_both_orders() {
        for role in Role::ALL {
            assert_eq!(BEFORE_2_6.iter().filter(|one| **one == role).count(), 1, "{role:?}");
            assert_eq!(SINCE_2_6.iter().filter(|one| **one == role).count(), 1, "{role:?}");
        }
    }
}

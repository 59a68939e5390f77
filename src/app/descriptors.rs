//! Whether this process may open as many descriptors as its configuration can need.

use crate::config::Settings;
use crate::effects::descriptors::{self, DescriptorLimit};

/// What falconer needs besides probes: its server, the platforms' watches, receivers, log files.
const OWN: usize = 64;

/// A probe that finds a component by its pods may have this many connections open at the same time.
const PER_COMPONENT: usize = 4;

/// What is watched in every cluster whatever stands in the file: the components of Milvus, the
/// service, the platform.
const PER_CLUSTER: usize = 12;

/// Raises the limit as far as the system allows. Gives what is to be said where that is not enough
/// for everything that `settings` name.
pub fn raise_limit(settings: &Settings) -> Option<String> {
    match descriptors::raise_limit() {
        Ok(limit) => shortage(settings, limit),
        Err(error) => Some(format!("the limit of open files cannot be raised: {error}")),
    }
}

/// What is to be said where `limit` is not enough for everything that `settings` name.
pub fn shortage(settings: &Settings, limit: DescriptorLimit) -> Option<String> {
    let watched = settings.probers.components.len() + PER_CLUSTER * settings.clusters.len();
    let needed = OWN + PER_COMPONENT * watched;
    let hard = limit.hard;
    (hard < needed as u64).then(|| {
        format!(
            "the hard limit of open files is {hard}, and {watched} components can need {needed} \
             at the same time: what cannot be probed for it is not judged; raise it (ulimit -Hn, \
             LimitNOFILE=)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::ClusterSettings;

    #[test]
    fn a_limit_that_is_too_low_for_what_is_configured_is_told() {
        let mut settings = Settings::default();
        settings.clusters.insert("a".into(), ClusterSettings::default());
        let limit = DescriptorLimit { soft: 256, hard: 256 };
        assert_eq!(shortage(&settings, limit), None);
        for number in 0..300 {
            settings.probers.components.insert(format!("p{number}"), Box::default());
        }
        let words = shortage(&settings, limit).expect("a warning");
        assert!(words.contains("is 256, and 312 components can need 1312"), "{words}");
        assert_eq!(shortage(&settings, DescriptorLimit { soft: 256, hard: 4_096 }), None);
    }
}

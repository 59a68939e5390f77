//! Pods that do not come to their end, as plain data and in words. Decides nothing.

use std::time::Duration;

use super::pod::{Pod, PodCondition};
use super::time::Timestamp;

/// milvus-operator grants 30 days to end, which nobody waits for: longer than this is no grace.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

impl Pod {
    /// For how long the pod has hung in its end: since its deletion was asked for, once its grace
    /// period is over, or half a minute where that is shorter. `None` where it does not.
    pub fn hangs_for(&self, now: Timestamp) -> Option<Duration> {
        if self.condition != PodCondition::Terminating {
            return None;
        }
        let ending = self.life.terminating?;
        let due = ending.since + ending.grace.min(LONGEST_GRACE);
        (now > due).then(|| now.since(ending.since))
    }

    /// What a person must know of a pod that hangs: since when, what may hold it, and how to remove
    /// it. The same words for as long as it hangs. `None` where nobody asked for its end.
    pub fn hanging_words(&self) -> Option<String> {
        let ending = self.life.terminating?;
        let (name, since) = (&self.name, ending.since);
        let grace = in_words(ending.grace);
        let mut words =
            format!("pod {name} does not end: deleted at {since} with {grace} of grace");
        if let Some(node) = &self.life.node {
            words = format!("{words}, on node {node}");
        }
        if !self.life.finalizers.is_empty() {
            let finalizers = self.life.finalizers.join(", ");
            return Some(format!("{words}; it waits for its finalizers: {finalizers}"));
        }
        let namespace = self.workload.as_ref().map(|workload| &workload.namespace);
        let namespace = namespace.map_or_else(String::new, |name| format!(" -n {name}"));
        Some(format!(
            "{words}; to remove it: kubectl{namespace} delete pod {name} --grace-period=0 --force"
        ))
    }
}

fn in_words(time: Duration) -> String {
    const DAY: u64 = 24 * 3_600;
    match time.as_secs() {
        seconds if seconds >= 2 * DAY => format!("{} days", seconds / DAY),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PodLife, Resources, Terminating};

    fn pod(grace: u64) -> Pod {
        let since = Timestamp::from_millis(1_767_225_600_000);
        let terminating = Some(Terminating { since, grace: Duration::from_secs(grace) });
        Pod {
            name: "milvus-querynode-1".into(),
            ip: None,
            condition: PodCondition::Terminating,
            requests: Resources::default(),
            limits: Resources::default(),
            started_at: None,
            workload: None,
            life: PodLife { terminating, ..PodLife::default() },
        }
    }

    #[test]
    fn a_pod_hangs_once_its_grace_is_over_or_what_anybody_waits_for() {
        let at = |seconds: u64| Timestamp::from_millis(1_767_225_600_000 + seconds * 1_000);
        assert_eq!(pod(10).hangs_for(at(10)), None);
        assert_eq!(pod(10).hangs_for(at(11)), Some(Duration::from_secs(11)));
        let operators = 30 * 24 * 3_600;
        assert_eq!(pod(operators).hangs_for(at(30)), None);
        assert_eq!(pod(operators).hangs_for(at(31)), Some(Duration::from_secs(31)));
        let ready = Pod { condition: PodCondition::Ready, ..pod(10) };
        assert_eq!(ready.hangs_for(at(1_000)), None);
    }

    #[test]
    fn people_are_told_what_holds_it_and_how_to_remove_it() {
        let mut hung = pod(30);
        hung.life.node = Some("worker-3".into());
        let words = hung.hanging_words().unwrap();
        assert!(words.contains("2026-01-01T00:00:00.000Z with 30 s of grace, on node worker-3"));
        assert!(
            words.ends_with("delete pod milvus-querynode-1 --grace-period=0 --force"),
            "{words}"
        );
        assert!(pod(30 * 24 * 3_600).hanging_words().unwrap().contains("with 30 days of grace"));
        hung.life.finalizers = vec!["example.org/volume".into()];
        let words = hung.hanging_words().unwrap();
        // Force would not help: the finalizer's owner must act.
        assert!(words.ends_with("waits for its finalizers: example.org/volume"), "{words}");
    }
}

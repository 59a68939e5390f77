//! Looks for evidence: on the status board for what falconer believes, everywhere else at the far
//! side for what it really did.

mod verdicts;

use super::configuration::CLUSTER;
use super::deeds::{Deed, concerns, disruptions};
use super::scenario::{Expectation, Step};
use crate::actors::status::{ComponentSnapshot, StatusBoard};
use crate::model::{HealthState, Timestamp};
use crate::sim::Simulation;

/// How many disruptions falconer may cause, as configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budgets {
    /// To one component.
    pub(super) component: usize,
    /// To the cluster.
    pub(super) cluster: usize,
}

/// What is known when a step begins.
#[derive(Debug)]
pub(super) struct Beginning {
    /// When the fault was injected.
    pub(super) at: Timestamp,
    /// The uids of the component's pods.
    pub(super) pods: Vec<String>,
    /// The image of its workload.
    pub(super) image: String,
}

/// Looks at the simulation and at the status board.
pub(super) struct Observer<'a> {
    pub(super) sim: &'a Simulation,
    pub(super) board: &'a StatusBoard,
    pub(super) budgets: Budgets,
}

impl Observer<'_> {
    /// The present moment.
    pub(super) fn now(&self) -> Timestamp {
        self.sim.clock().now()
    }

    /// Remembers what there is before the fault.
    pub(super) fn begin(&self, component: &str) -> Beginning {
        let pods = self.sim.pods(component).into_iter().map(|pod| pod.uid).collect();
        let image = self.sim.workload(component).map_or_else(String::new, |it| it.image);
        Beginning { at: self.now(), pods, image }
    }

    /// Whether falconer calls everything healthy, and the cluster has come to rest.
    pub(super) fn all_is_well(&self) -> bool {
        let believed = self.board.read(|board| {
            board.clusters.get(CLUSTER).is_some_and(|cluster| {
                let watched = self.sim.settings().components.len();
                cluster.synced
                    && cluster.components.len() > watched
                    && cluster
                        .components
                        .values()
                        .all(|component| component.health.state == HealthState::Healthy)
            })
        });
        believed && self.sim.is_settled()
    }

    /// What is not healthy, in words.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.board.read(|board| {
            let Some(cluster) = board.clusters.get(CLUSTER) else {
                return vec!["the cluster is not on the status board".to_owned()];
            };
            let platform = cluster.platform_error.iter().map(|e| format!("the platform: {e}"));
            let sick = cluster
                .components
                .iter()
                .filter(|(_, component)| component.health.state != HealthState::Healthy);
            let sick = sick.map(|(name, component)| {
                let reason = component.health.reason.as_ref().map_or("", |reason| &reason.text);
                format!("{name} is {}: {reason}", component.health.state.as_str())
            });
            platform.chain(sick).collect()
        })
    }

    /// What falconer itself says about its actions on a component.
    pub(super) fn own_words(&self, component: &str) -> Vec<String> {
        self.board.read(|board| {
            let component = board.clusters.get(CLUSTER).and_then(|c| c.components.get(component));
            component
                .into_iter()
                .flat_map(|component| [&component.recovery, &component.scaling])
                .flatten()
                .cloned()
                .collect()
        })
    }

    /// When the expectation was met; `None` while it is not.
    pub(super) fn met(
        &self,
        expectation: Expectation,
        step: &Step,
        beginning: &Beginning,
    ) -> Option<Timestamp> {
        let component = step.component;
        let seen = |is_true: bool| is_true.then(|| self.now());
        match expectation {
            Expectation::Unhealthy => seen(self.state(component) == HealthState::Unhealthy),
            Expectation::HealthyAgain => seen(
                self.component(component, |c| {
                    c.health.state == HealthState::Healthy && c.health.consecutive_failures == 0
                }) && self.was_asked_since(component, beginning.at),
            ),
            Expectation::ProbeFails => {
                seen(self.component(component, |c| c.health.consecutive_failures > 0))
            }
            Expectation::CpuAbove(percent) => seen(self.cpu(component)? >= percent),
            Expectation::CpuBelow(percent) => seen(self.cpu(component)? <= percent),
            Expectation::AlertMail => self.mail(component, false, beginning.at),
            Expectation::ResolvedMail => self.mail(component, true, beginning.at),
            Expectation::AlertWebhook => self
                .sim
                .webhook()
                .requests()
                .first(|request| {
                    request.received_at >= beginning.at && request.body.contains(component)
                })
                .map(|request| request.received_at),
            Expectation::MailSays(text) => self.mail_saying(Some(component), text, beginning.at),
            Expectation::LastWord(text) => self.mail_saying(None, text, beginning.at),
            Expectation::BreakerOpen => {
                seen(self.board.read(|board| board.recoverer.breakers.contains_key(CLUSTER)))
            }
            Expectation::Done(deed) => self.done(deed, component, beginning.at),
            Expectation::ScalePatch => {
                self.write("patch", &format!("-{component}/scale"), "replicas", beginning.at)
            }
            Expectation::KubernetesEvent => self
                .sim
                .api_requests()
                .first(|request| {
                    request.at >= beginning.at
                        && matches!(request.verb, "create" | "patch")
                        && request.is_write()
                        && request.path.contains("/events")
                        && request.body.contains(component)
                })
                .map(|request| request.at),
            Expectation::PodsReplaced => {
                let pods = self.sim.pods(component);
                let fresh = pods.iter().all(|pod| !beginning.pods.contains(&pod.uid) && pod.ready);
                seen(fresh && self.has_wanted_pods(component))
            }
            Expectation::SickPodReplaced => seen(self.only_first_is_new(component, beginning)),
            Expectation::EarlierImage => {
                let pods = self.sim.pods(component);
                let earlier = pods.iter().all(|pod| pod.image == beginning.image && pod.ready);
                seen(earlier && self.has_wanted_pods(component))
            }
            Expectation::AllWell => seen(self.all_is_well()),
            Expectation::ReadyPods(count) => {
                let pods = self.sim.pods(component);
                seen(pods.len() == count && pods.iter().all(|pod| pod.ready))
            }
        }
    }

    /// When something of this kind was done to the component.
    fn done(&self, deed: Deed, component: &str, since: Timestamp) -> Option<Timestamp> {
        let done = disruptions(self.sim, since);
        let mut done = done.iter().filter(|request| Deed::of(request) == deed);
        done.find(|request| concerns(self.sim, request, component)).map(|request| request.at)
    }

    /// Whether all pods are ready, and all but the first of those of before are still the same.
    fn only_first_is_new(&self, component: &str, beginning: &Beginning) -> bool {
        let pods = self.sim.pods(component);
        let Some((first, others)) = beginning.pods.split_first() else { return false };
        let is_there = |uid: &String| pods.iter().any(|pod| pod.uid == *uid);
        self.has_wanted_pods(component)
            && pods.iter().all(|pod| pod.ready)
            && !is_there(first)
            && others.iter().all(is_there)
    }

    fn mail_saying(
        &self,
        component: Option<&str>,
        text: &str,
        since: Timestamp,
    ) -> Option<Timestamp> {
        let mails = self.sim.smtp().mails();
        let found = mails.first(|mail| {
            mail.received_at >= since
                && component.is_none_or(|component| mail.subject().contains(component))
                && one_line(&mail.body()).contains(text)
        });
        found.map(|mail| mail.received_at)
    }

    fn component(&self, name: &str, look: impl FnOnce(&ComponentSnapshot) -> bool) -> bool {
        self.board.read(|board| {
            let component = board.clusters.get(CLUSTER).and_then(|c| c.components.get(name));
            component.is_some_and(look)
        })
    }

    fn state(&self, name: &str) -> HealthState {
        let mut state = HealthState::Unknown;
        self.component(name, |component| {
            state = component.health.state;
            true
        });
        state
    }

    /// Whether a pod of the component has answered since.
    fn was_asked_since(&self, component: &str, since: Timestamp) -> bool {
        let requests = self.sim.pod_requests();
        requests.first(|r| r.at >= since && r.component == component && r.answered).is_some()
    }

    fn has_wanted_pods(&self, component: &str) -> bool {
        let wanted = self.sim.workload(component).map_or(0, |workload| workload.replicas);
        self.sim.pods(component).len() as u64 == wanted
    }

    /// The average CPU of the component's pods on the status board, per cent of the request.
    fn cpu(&self, component: &str) -> Option<u32> {
        let pods: Vec<String> = self.sim.pods(component).into_iter().map(|pod| pod.name).collect();
        self.board.read(|board| {
            let cluster = board.clusters.get(CLUSTER)?;
            let percents: Vec<u32> = cluster
                .components
                .values()
                .flat_map(|snapshot| &snapshot.usage)
                .filter(|usage| pods.contains(&usage.pod))
                .filter_map(|usage| usage.cpu_percent_of_request)
                .collect();
            let count = u32::try_from(percents.len()).ok().filter(|count| *count > 0)?;
            Some(percents.iter().sum::<u32>() / count)
        })
    }

    fn mail(&self, component: &str, resolved: bool, since: Timestamp) -> Option<Timestamp> {
        let wanted = |subject: &str| {
            subject.contains(component) && subject.starts_with("[RESOLVED]") == resolved
        };
        let mails = self.sim.smtp().mails();
        let found = mails.first(|mail| mail.received_at >= since && wanted(&mail.subject()));
        found.map(|mail| mail.received_at)
    }

    fn write(&self, verb: &str, path: &str, body: &str, since: Timestamp) -> Option<Timestamp> {
        let found = self.sim.api_requests().first(|request| {
            request.at >= since
                && request.verb == verb
                && request.is_write()
                && request.path.ends_with(path)
                && request.body.contains(body)
        });
        found.map(|request| request.at)
    }
}

/// Text without its line breaks, which may come between any two words.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

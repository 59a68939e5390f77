//! Makes things go wrong, and well again.

use std::time::Duration;

use super::controllers::operator;
use super::controllers::template::set_image;
use super::faults::state::{Service, State};
use super::faults::{ApiFault, Breakage, Fault, OperatorTrait};
use super::kubernetes::gate::Link;
use super::kubernetes::json::set;
use super::kubernetes::resource::{DAEMON_SETS, DEPLOYMENTS, MILVUSES, NODES, STATEFUL_SETS};
use super::kubernetes::store::Key;
use super::labels::{component_of, operator_field};
use super::settings::Layout;
use super::simulation::{SimError, Simulation};
use super::views::PodView;
use crate::model::Role;

impl Simulation {
    /// Makes something go wrong from now on.
    ///
    /// # Errors
    /// When it is for a pod, node or component that is not there.
    pub fn inject(&self, fault: Fault) -> Result<(), SimError> {
        match fault {
            Fault::HangPod { pod } => self.mark_pod(&pod, |state, uid| {
                state.hung_pods.insert(uid);
            })?,
            Fault::ClosePort { pod } => self.mark_pod(&pod, |state, uid| {
                state.closed_ports.insert(uid);
            })?,
            Fault::StuckTermination { pod, undying } => self.mark_pod(&pod, |state, uid| {
                state.undying_pods.insert(uid, undying);
            })?,
            Fault::NodeLost { node } => self.lose_node(node)?,
            Fault::Component500 { component } => self.mark_pods(&component, |state, pod| {
                state.failing_revisions.insert(pod.revision);
            })?,
            Fault::CrashLoop { component } => self.mark_pods(&component, |state, pod| {
                state.crashing_revisions.insert(pod.revision);
            })?,
            Fault::StallComponent { component, lasts } => {
                let until = self.clock.monotonic() + lasts;
                self.mark_pods(&component, |state, pod| {
                    state.stalled_pods.insert(pod.uid, until);
                })?;
            }
            Fault::CrashLoopForever { component } => self.mark_pods(&component, |state, _| {
                state.crashing_components.insert(component.clone());
            })?,
            Fault::RestartStorm { component, after } => {
                self.mark_pods(&component, |state, _| {
                    state.storms.insert(component.clone(), after);
                })?;
            }
            Fault::BadRollout { component, breakage } => self.roll_badly(&component, breakage)?,
            Fault::Operator(what) => self.set_operator(&what)?,
            Fault::SetLoad { component, cpu_milli } => self.load.set(&component, Some(cpu_milli)),
            Fault::KubernetesApi(fault) => self.break_api(fault),
            Fault::ApiOutage { fault, lasts } => self.break_api_for(fault, lasts),
            Fault::ApiLink { door, link } => self.set_link(door, link)?,
            Fault::ForgetHistory => self.store.compact(),
            Fault::EvidenceHangs => self.faults.fail(Service::Evidence),
            Fault::MetricsApiAbsent => self.faults.fail(Service::Metrics),
            Fault::Milvus(fault) => self.faults.change(|state| state.milvus = Some(fault)),
            Fault::DependencyDown => self.faults.fail(Service::Dependency),
            Fault::EtcdOutage => self.faults.fail(Service::Etcd),
        }
        self.store.wake();
        Ok(())
    }

    /// Ends everything that is wrong and brings every load back to normal. What was written into
    /// objects (a broken image, a deletion) stays; but a broken image is sound from now on.
    pub fn heal(&self) {
        self.faults.clear();
        for component in &self.settings.components {
            self.load.set(component.role.as_str(), None);
        }
        self.mend_links();
        let roles = self.settings.components.iter().map(|component| component.role.as_str());
        operator::clear_traits(&self.store, &self.milvus_key(), roles);
        self.store.wake();
    }

    fn mark_pod(&self, pod: &str, mark: impl FnOnce(&mut State, String)) -> Result<(), SimError> {
        let components = self.settings.components.iter();
        let mut pods = components.flat_map(|component| self.pods(component.role.as_str()));
        let found = pods.find(|other| other.name == pod);
        let found = found.ok_or_else(|| SimError::NoTarget(format!("pod {pod}")))?;
        self.faults.change(|state| mark(state, found.uid));
        Ok(())
    }

    fn mark_pods(
        &self,
        component: &str,
        mut mark: impl FnMut(&mut State, PodView),
    ) -> Result<(), SimError> {
        for pod in self.targets(component)? {
            self.faults.change(|state| mark(state, pod));
        }
        Ok(())
    }

    fn lose_node(&self, node: String) -> Result<(), SimError> {
        if self.store.get(&Key::new(NODES, "", &node)).is_none() {
            return Err(SimError::NoTarget(format!("node {node}")));
        }
        self.faults.change(|state| {
            state.lost_nodes.insert(node);
        });
        Ok(())
    }

    fn set_link(&self, door: usize, link: Link) -> Result<(), SimError> {
        let door = self.doors.get(door);
        let door = door.ok_or_else(|| SimError::NoTarget("such port of the API".to_owned()))?;
        door.link.send_replace(link);
        Ok(())
    }

    fn targets(&self, component: &str) -> Result<Vec<PodView>, SimError> {
        let pods: Vec<PodView> =
            self.pods(component).into_iter().filter(|pod| !pod.terminating).collect();
        if pods.is_empty() {
            return Err(SimError::NoTarget(format!("pod of {component}")));
        }
        Ok(pods)
    }

    fn milvus_key(&self) -> Key {
        Key::new(MILVUSES, &self.settings.namespace, &self.settings.instance)
    }

    /// Somebody sets an image that is no good.
    fn roll_badly(&self, component: &str, breakage: Breakage) -> Result<(), SimError> {
        let none = || SimError::NoTarget(format!("workload of {component}"));
        let workload = self.workload(component).ok_or_else(none)?;
        let repository = workload.image.split(':').next().unwrap_or_default();
        let image = format!("{repository}:custom-{:06x}", fastrand::u32(..1 << 24));
        self.faults.change(|state| {
            state.broken_images.insert(image.clone(), breakage);
        });
        if self.settings.layout == Layout::Operator {
            let role = Role::parse(component).ok_or_else(none)?;
            self.store.update(&self.milvus_key(), |milvus| {
                set(milvus, &["spec", "components", operator_field(role), "image"], image);
            });
            return Ok(());
        }
        let namespace = Some(self.settings.namespace.as_str());
        for storage in [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS] {
            for object in self.store.list(storage, namespace).1 {
                if component_of(&object) == Some(component) {
                    self.store.update(&Key::of(storage, &object), |object| {
                        set_image(object, &image);
                    });
                }
            }
        }
        Ok(())
    }

    fn set_operator(&self, what: &OperatorTrait) -> Result<(), SimError> {
        let key = self.milvus_key();
        self.store.get(&key).ok_or(SimError::NoTarget("Milvus resource".to_owned()))?;
        operator::set_trait(&self.store, &key, what);
        Ok(())
    }

    fn break_api(&self, fault: ApiFault) {
        self.faults.change(|state| state.api = Some((fault, None)));
        if fault == ApiFault::Refused {
            for door in &self.doors {
                door.link.send_replace(Link::Refused);
            }
        }
    }

    fn break_api_for(&self, fault: ApiFault, lasts: Duration) {
        self.break_api(fault);
        let until = self.clock.monotonic() + lasts;
        self.faults.change(|state| state.api = Some((fault, Some(until))));
        if fault != ApiFault::Refused {
            return;
        }
        let links: Vec<_> = self.doors.iter().map(|door| door.link.clone()).collect();
        self.world.spawn(async move {
            tokio::time::sleep_until(until).await;
            for link in links {
                link.send_replace(Link::Up);
            }
        });
    }

    fn mend_links(&self) {
        for door in &self.doors {
            door.link.send_replace(Link::Up);
        }
    }
}

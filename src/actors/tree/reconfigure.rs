//! Makes the running tree follow another plan. Only what differs is touched; the order is such that
//! nobody acts on settings that hold no longer: first who tells and acts, then who decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use super::branches::{supervisor_key, supervisor_settings, ways_to_supervisors};
use super::{ClusterParts, Respawns, SupervisorLinks, Tree, TreePlan, plans_of_the_acting};
use crate::actors::beacon;
use crate::actors::root::{AddChild, RemoveChild, SetRespawn};
use crate::actors::supervisor::Retire;
use crate::effects::{Cluster, Notifier};
use crate::model::Touched;
use crate::policy::backoff::RespawnSettings;

impl Tree {
    /// Follows `plan`. What is the same object as before (a planner's probe, a receiver, a
    /// platform) counts as unchanged. A platform that is not in the plan any more is the caller's to
    /// shut down, after this has returned.
    pub async fn reconfigure(&mut self, plan: TreePlan) -> Touched {
        let mut touched = Touched::default();
        let links = self.links_for(&plan);
        let ways = ways_to_supervisors(links.iter());
        let (alerter, recoverer, scaler) = plans_of_the_acting(&plan, ways);

        compare_receivers(&self.plan.receivers, &plan.receivers, &mut touched);
        if same_receivers(&self.plan.receivers, &plan.receivers)
            && self.plan.settings.alerter == plan.settings.alerter
        {
            touched.untouched += 1;
        } else {
            self.alerter.reconfigure(alerter).await;
            self.changed("alerter", &mut touched);
        }
        let before = &self.plan;
        if before.settings.recoverer == plan.settings.recoverer
            && same_platforms(before, &plan, |cluster| &cluster.recoverer_platform)
        {
            touched.untouched += 1;
        } else {
            self.recoverer.reconfigure(recoverer).await;
            self.changed("recoverer", &mut touched);
        }
        let before = &self.plan;
        if before.settings.scaler == plan.settings.scaler
            && same_platforms(before, &plan, |cluster| &cluster.scaler_platform)
            && same_query_nodes(before, &plan)
        {
            touched.untouched += 1;
        } else {
            self.scaler.reconfigure(scaler).await;
            self.changed("scaler", &mut touched);
        }
        if self.plan.settings.beacon != plan.settings.beacon {
            self.beacon.reconfigure(beacon::Reconfigure(plan.settings.beacon.clone())).await;
            self.changed("beacon", &mut touched);
        }
        self.follow_respawns(&plan.settings.respawns).await;
        self.follow_clusters(&plan, links, &mut touched).await;
        self.plan = plan;
        touched
    }

    fn changed(&self, actor: &'static str, touched: &mut Touched) {
        self.common.metrics.reconfigured(actor);
        touched.changed.add(actor);
    }

    /// The links of every planned cluster's supervisor: the present ones, or new ones.
    fn links_for(&self, plan: &TreePlan) -> HashMap<Arc<str>, SupervisorLinks> {
        let links = |cluster: &ClusterParts| {
            let known = self.supervisors.get(&cluster.name).map(|known| known.links.clone());
            (Arc::clone(&cluster.name), known.unwrap_or_default())
        };
        plan.clusters.iter().map(links).collect()
    }

    /// Nobody who lives is touched: it holds for the next end of each actor.
    async fn follow_respawns(&self, respawns: &Respawns) {
        let before = &self.plan.settings.respawns;
        let supervisors = self.supervisors.keys().map(|name| supervisor_key(name));
        let supervisors = supervisors.map(|key| (key, before.supervisor, respawns.supervisor));
        let peers = [
            ("alerter", before.alerter, respawns.alerter),
            ("recoverer", before.recoverer, respawns.recoverer),
            ("scaler", before.scaler, respawns.scaler),
        ];
        let peers = peers.into_iter().map(|(key, old, new)| (key.to_owned(), old, new));
        for (key, _, respawn) in supervisors.chain(peers).filter(|(_, old, new)| old != new) {
            if self.root.address.send(SetRespawn { key, respawn }).await.is_err() {
                tracing::error!("the root is gone");
            }
        }
    }

    async fn follow_clusters(
        &mut self,
        plan: &TreePlan,
        mut links: HashMap<Arc<str>, SupervisorLinks>,
        touched: &mut Touched,
    ) {
        let gone: Vec<Arc<str>> =
            self.supervisors.keys().filter(|name| !links.contains_key(*name)).cloned().collect();
        for name in gone {
            self.remove_cluster(&name, touched).await;
        }
        let respawn = plan.settings.respawns.supervisor;
        for cluster in &plan.clusters {
            let before = self.plan.clusters.iter().find(|before| before.name == cluster.name);
            if before.is_some_and(|before| !Arc::ptr_eq(&before.platform, &cluster.platform)) {
                self.common.circuits.forget(&cluster.name, &self.common.metrics);
            }
            if let Some(known) = self.supervisors.get(&cluster.name) {
                let told = known.branch.reconfigure(supervisor_settings(cluster, respawn)).await;
                // Without a living incarnation the next one is made with it.
                let told = told.unwrap_or_else(|| {
                    let mut touched = Touched::default();
                    touched.changed.add(format!("supervisor {}", cluster.name));
                    touched
                });
                touched.extend(told);
            } else if let Some(links) = links.remove(&cluster.name) {
                self.add_cluster(cluster, links, respawn).await;
                touched.added.add(format!("supervisor {}", cluster.name));
            }
        }
    }

    async fn add_cluster(
        &mut self,
        cluster: &ClusterParts,
        links: SupervisorLinks,
        respawn: RespawnSettings,
    ) {
        let (child, watched) = self.common.supervisor(cluster, links, respawn);
        self.supervisors.insert(Arc::clone(&cluster.name), watched);
        if self.root.address.send(AddChild(child)).await.is_err() {
            tracing::error!(cluster = %cluster.name, "the root is gone, cluster not watched");
        }
        self.common.metrics.reconfigured("supervisor");
    }

    /// Ends the cluster's incidents, then its supervisor, then what is shown of it.
    async fn remove_cluster(&mut self, name: &Arc<str>, touched: &mut Touched) {
        let Some(watched) = self.supervisors.remove(name) else { return };
        let memories = &self.common.lasting.memories;
        memories.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(ended) = watched.links.retire.ask(Retire).await {
            touched.extend(ended);
        } else {
            self.common.resolve_all(&watched.memory);
            touched.removed.add(format!("supervisor {name}"));
        }
        if self.root.address.send(RemoveChild(supervisor_key(name))).await.is_err() {
            tracing::error!(cluster = %name, "the root is gone");
        }
        self.common.board.remove_cluster(name);
        self.common.circuits.forget(name, &self.common.metrics);
        self.common.metrics.reconfigured("supervisor");
        tracing::info!(cluster = %name, "cluster is not configured any more, no longer watched");
    }
}

type ByName<'a> = BTreeMap<&'a str, &'a Arc<dyn Notifier>>;

fn by_name(receivers: &[Arc<dyn Notifier>]) -> ByName<'_> {
    receivers.iter().map(|one| (one.name(), one)).collect()
}

fn same_receivers(before: &[Arc<dyn Notifier>], after: &[Arc<dyn Notifier>]) -> bool {
    let (before, after) = (by_name(before), by_name(after));
    before.len() == after.len()
        && before
            .iter()
            .all(|(name, one)| after.get(name).is_some_and(|other| Arc::ptr_eq(one, other)))
}

fn compare_receivers(
    before: &[Arc<dyn Notifier>],
    after: &[Arc<dyn Notifier>],
    touched: &mut Touched,
) {
    let (before, after) = (by_name(before), by_name(after));
    for (name, one) in &after {
        match before.get(name) {
            None => touched.added.add(format!("receiver {name}")),
            Some(other) if Arc::ptr_eq(one, other) => touched.untouched += 1,
            Some(_) => touched.changed.add(format!("receiver {name}")),
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        touched.removed.add(format!("receiver {name}"));
    }
}

/// Whether the scaler asks the same Milvus everywhere; for clusters that are the same.
fn same_query_nodes(before: &TreePlan, after: &TreePlan) -> bool {
    before.clusters.iter().all(|cluster| {
        let other = after.clusters.iter().find(|other| other.name == cluster.name);
        match (&cluster.query_nodes, other.and_then(|other| other.query_nodes.as_ref())) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    })
}

fn same_platforms(
    before: &TreePlan,
    after: &TreePlan,
    of: impl Fn(&ClusterParts) -> &Arc<dyn Cluster>,
) -> bool {
    before.clusters.len() == after.clusters.len()
        && before.clusters.iter().all(|cluster| {
            let other = after.clusters.iter().find(|other| other.name == cluster.name);
            other.is_some_and(|other| Arc::ptr_eq(of(cluster), of(other)))
        })
}

//! Two small clusters, the platform that runs them, and a falconer that may be killed: whatever the
//! generated steps say, written down so that the rules can be checked.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::steps::{Answer, Step};
use super::truth::Truth;
use crate::model::Role;

/// The limits of one history.
#[derive(Debug, Clone)]
pub struct Setting {
    pub ladder: Vec<u8>,
    /// The component's, the cluster's, the global one.
    pub budgets: (usize, usize, usize),
    pub max_concurrent: usize,
    pub force: bool,
    /// Whether a step that helped for a while may be taken again.
    pub repeats: bool,
}

/// An action that was begun, with what was known then.
pub struct Begun {
    pub plan: PlannedAction,
    pub request: RecoveryRequest,
    pub at: Timestamp,
    /// What spoke against it, if anything did.
    pub forbidden: Option<u8>,
    /// Which actions of the same cluster were under way, or might have been.
    pub beside: usize,
    pub retry: bool,
    pub answer: Answer,
}

/// The whole.
pub struct World {
    pub desk: Desk,
    pub now: Timestamp,
    pub components: Vec<Truth>,
    pub begun: Vec<Begun>,
    /// What arrived at the platform for the first time: which of `begun`, and when.
    pub arrived: Vec<(usize, Timestamp)>,
    /// When the breaker of a cluster was reset, by cluster.
    pub resets: Vec<(Arc<str>, Timestamp)>,
    pub escalated: BTreeSet<IncidentId>,
    /// The keys of the actions of which it is known how they ended.
    pub concluded: BTreeSet<String>,
    /// What was decided against the rules, as seen at once.
    pub broken: Option<String>,
    /// What a store holds.
    pub saved: BTreeMap<String, String>,
    story: Vec<String>,
}

impl World {
    pub fn new(setting: &Setting) -> Self {
        let mut desk = Desk::new();
        desk.settings.ladder = setting
            .ladder
            .iter()
            .map(|rung| match rung {
                0 => LadderStep::DeletePod,
                1 => LadderStep::RolloutRestart,
                _ => LadderStep::Rollback,
            })
            .collect();
        let per = minutes(60);
        let (component, cluster, global) = setting.budgets;
        desk.settings.budget = Budget { actions: component, per };
        desk.settings.force_delete_after = setting.force.then(|| minutes(2));
        if setting.repeats {
            desk.settings.recurrence_window = Duration::ZERO;
        }
        desk.global = GlobalSettings {
            budget: Budget { actions: global, per },
            cluster_budget: Budget { actions: cluster, per },
            max_concurrent: setting.max_concurrent,
        };
        let roles = [Role::Proxy, Role::QueryNode, Role::DataNode];
        let truth = |cluster: &str, role: Role| Truth {
            id: ComponentId::new(cluster, role.as_str()),
            role,
            since: START,
            lives: [0; 3],
            revisions: vec![(1, 1)],
            revised_at: START.minus(minutes(600)),
            forbidden: None,
        };
        let components =
            ["a", "b"].iter().flat_map(|name| roles.map(|role| truth(name, role))).collect();
        Self {
            desk,
            now: START,
            components,
            begun: Vec::new(),
            arrived: Vec::new(),
            resets: Vec::new(),
            escalated: BTreeSet::new(),
            concluded: BTreeSet::new(),
            broken: None,
            saved: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    /// What happened, for people.
    pub fn story(&self) -> String {
        self.story.join("\n")
    }

    fn tell(&mut self, what: impl Into<String>) {
        let line = format!("{:>6}s {}", self.now.since(START).as_secs(), what.into());
        self.story.push(line);
    }

    /// Lets one thing happen, after falconer has looked at its verifications.
    pub fn take(&mut self, step: &Step) {
        self.judge();
        match step {
            Step::Pass { seconds } => self.now = self.now + Duration::from_secs(*seconds),
            Step::Healthy { component } => {
                let id = self.components[*component].id.clone();
                self.desk.ledger.saw_healthy(&id, self.now);
            }
            Step::Cure { component } => {
                self.rolled_out(*component, true);
                let id = self.components[*component].id.clone();
                self.desk.ledger.saw_healthy(&id, self.now);
            }
            Step::Rollout { component, complete } => self.rolled_out(*component, *complete),
            Step::Deploy { component } => {
                let truth = &mut self.components[*component];
                let (number, content) = *truth.revisions.last().expect("there is one");
                truth.revisions.push((number + 1, content + 100));
                truth.revised_at = self.now;
                truth.lives = truth.lives.map(|life| life + 1);
                self.tell(format!("deploys {}", self.components[*component].id));
            }
            Step::Forbid { component, what } => self.components[*component].forbidden = Some(*what),
            Step::Allow => self.components.iter_mut().for_each(|truth| truth.forbidden = None),
            Step::Respawn => {
                self.tell("respawned");
                self.resume();
            }
            Step::Kill => {
                self.tell("killed");
                let (ledger, problems) = RecoveryLedger::import(&self.saved);
                assert_eq!(problems, []);
                self.desk.ledger = ledger;
                self.resume();
            }
            Step::Reset { cluster } => {
                let name: Arc<str> = ["a", "b"][*cluster].into();
                if self.desk.ledger.reset_breaker(&name) {
                    self.tell(format!("{name}: breaker is reset"));
                    self.resets.push((name, self.now));
                }
            }
            Step::Report { component, anew, serves, pods, answer } => {
                if *anew {
                    self.components[*component].since = self.now;
                }
                let request = self.request(*component, *serves, *pods);
                self.report(*component, request, *answer);
            }
        }
        self.save();
    }

    fn save(&mut self) {
        for (key, value) in self.desk.ledger.take_changes() {
            match value {
                Some(value) => self.saved.insert(key, value),
                None => self.saved.remove(&key),
            };
        }
    }

    /// What had no answer is looked up in the cluster.
    fn resume(&mut self) {
        for action in self.desk.ledger.resume(self.now) {
            let (id, key) = (&action.component, &action.idempotency_key);
            if self.has_arrived(key) {
                self.desk.ledger.accepted(id, self.now);
            } else {
                let settings = self.desk.settings.clone();
                self.desk.ledger.postponed(id, &settings, self.now);
            }
        }
    }

    fn has_arrived(&self, key: &str) -> bool {
        self.arrived.iter().any(|(index, _)| self.begun[*index].plan.idempotency_key == *key)
    }

    fn judge(&mut self) {
        let actions: Vec<ActionUnderWay> = self.desk.ledger.all_in_flight().cloned().collect();
        for action in actions {
            let (id, now) = (&action.component, self.now);
            let verdict = verify(&action, &self.desk.settings, now);
            if verdict != Verification::Pending {
                self.concluded.insert(action.idempotency_key.clone());
            }
            match verdict {
                Verification::Pending => {}
                Verification::PodReplaced { .. } => {
                    self.desk.ledger.pod_replaced(id);
                    self.tell(format!("{id}: pod replaced"));
                }
                Verification::Recovered { .. } => {
                    self.desk.ledger.recovered(id, now);
                    self.tell(format!("{id}: recovered"));
                }
                Verification::NotRecovered { .. } => {
                    self.desk.ledger.not_recovered(id, now);
                    self.tell(format!("{id}: not recovered"));
                }
            }
        }
    }

    fn rolled_out(&mut self, component: usize, complete: bool) {
        let id = self.components[component].id.clone();
        let Some(action) = self.desk.ledger.in_flight(&id) else { return };
        let key = action.idempotency_key.clone();
        let progress = if complete {
            RolloutProgress::Complete
        } else {
            RolloutProgress::Failed { message: "it failed".to_owned() }
        };
        self.desk.ledger.saw_rollout(&id, &key, progress);
    }

    fn request(&self, component: usize, serves: bool, pods: u8) -> RecoveryRequest {
        let truth = &self.components[component];
        let mut one = request(&truth.id.component, truth.since);
        one.component = truth.id.clone();
        one.incident = IncidentId::new(&truth.id, truth.since);
        one.role = Some(truth.role);
        one.serves = serves;
        one.pods = (0..3).map(|place| truth.pod(place, pods, self.now)).collect();
        let (number, content) = *truth.revisions.last().expect("there is one");
        let others = truth.revisions.iter().filter(|(_, other)| *other != content);
        one.workloads[0].revision = Some(Revision {
            number,
            templates: vec![format!("content-{content}").into()],
            since: truth.revised_at,
            previous: others.map(|(number, _)| *number).max(),
        });
        truth.forbid(&mut one, self.now);
        one
    }

    fn report(&mut self, component: usize, request: RecoveryRequest, answer: Answer) {
        let decision = self.desk.decide(&request, self.now);
        let id = request.component.clone();
        let names: Vec<Arc<str>> = request
            .pods
            .iter()
            .filter(|one| one.sick.is_some())
            .map(|one| one.pod.name.clone())
            .collect();
        match decision {
            RecoveryDecision::Act(plan) => self.act(component, request, plan, answer),
            RecoveryDecision::Refuse { reason } => {
                self.tell(format!("{id}: {}", reason.as_str()));
                if reason.trips_breaker() {
                    self.tell(format!("{id}: breaker opens"));
                    self.desk.ledger.trip(&id.cluster, reason.to_string(), self.now);
                }
            }
            RecoveryDecision::Escalate { reason } => {
                self.tell(format!("{id}: escalates: {reason}"));
                if request.serves {
                    self.broken = Some(format!("{id} serves and is left to a person"));
                }
                if !self.escalated.insert(request.incident.clone()) {
                    self.broken = Some(format!("{} is escalated twice", request.incident));
                }
                self.desk.ledger.escalated(&id, &request.incident, self.now);
            }
            RecoveryDecision::Wait { reason, .. } => {
                self.tell(format!("{id}: waits: {}", reason.as_str()));
            }
            RecoveryDecision::InFlight => self.desk.ledger.saw_sick_pods(&id, &names),
        }
    }

    fn act(
        &mut self,
        component: usize,
        request: RecoveryRequest,
        plan: PlannedAction,
        answer: Answer,
    ) {
        let id = request.component.clone();
        let ledger = &self.desk.ledger;
        let retry = ledger.first_tried_at(&id, &plan.idempotency_key).is_some();
        let verb = if retry { "retries" } else { "begins" };
        self.tell(format!("{id}: {verb} {}: {answer:?}", plan.idempotency_key));
        let beside = self.under_way_beside(&id);
        let forbidden = self.components[component].forbidden;
        let (key, at) = (plan.idempotency_key.clone(), self.now);
        self.desk.begin(&request, &plan, at);
        self.begun.push(Begun { plan, request, at, forbidden, beside, retry, answer });
        // Saved before it is carried out.
        self.save();
        let arrives = match answer {
            Answer::Accepted => true,
            Answer::Lost { arrived } | Answer::None { arrived } => arrived,
            Answer::Refused | Answer::Shown | Answer::Withheld => false,
        };
        if arrives {
            self.arrive(component, &key);
        }
        let settings = self.desk.settings.clone();
        let ledger = &mut self.desk.ledger;
        match answer {
            Answer::Accepted => ledger.accepted(&id, at),
            Answer::Refused => drop(ledger.not_recovered(&id, at)),
            Answer::Lost { .. } => drop(ledger.postponed(&id, &settings, at)),
            Answer::Shown => drop(ledger.shown(&id, at)),
            Answer::Withheld => drop(ledger.withdrawn(&id)),
            Answer::None { .. } => {}
        }
    }

    /// Actions on other components of the cluster that falconer knows to be under way, or that
    /// arrived although no answer came, for as long as they would be verified.
    fn under_way_beside(&self, id: &ComponentId) -> usize {
        let known: BTreeSet<ComponentId> =
            self.desk.ledger.in_flight_in(&id.cluster).into_iter().collect();
        let timeout = self.desk.settings.verify_timeout;
        let lost = self.arrived.iter().filter(|(index, _)| {
            let Begun { plan, request, answer, .. } = &self.begun[*index];
            let key = &plan.idempotency_key;
            let mut tries = self.begun.iter().filter(|one| one.plan.idempotency_key == *key);
            let first = tries.next().map_or(self.now, |one| one.at);
            matches!(answer, Answer::Lost { .. })
                && !self.concluded.contains(key)
                && self.now.since(first) < timeout
                && request.component.cluster == id.cluster
                && request.component != *id
        });
        let lost: BTreeSet<ComponentId> =
            lost.map(|(index, _)| self.begun[*index].request.component.clone()).collect();
        known.union(&lost).count()
    }

    /// The platform carries the newest action out, unless it has done so before.
    fn arrive(&mut self, component: usize, key: &str) {
        let index = self.begun.len() - 1;
        if self.has_arrived(key) {
            return;
        }
        self.arrived.push((index, self.now));
        let plan = &self.begun[index].plan;
        let truth = &mut self.components[component];
        if let Some(pod) = &plan.pod {
            let place = usize::from(pod.name.as_bytes()[2] - b'0');
            // The last one has come to stay.
            truth.lives[place] += u32::from(place < 2);
        } else {
            truth.lives = truth.lives.map(|life| life + 1);
        }
        if let Some(change) = plan.revisions
            && truth.revisions.last().is_some_and(|(newest, _)| *newest == change.from)
        {
            let place = truth.revisions.iter().position(|(number, _)| *number == change.to);
            let (_, content) = truth.revisions.remove(place.expect("a revision that exists"));
            truth.revisions.push((change.from + 1, content));
            truth.revised_at = self.now;
        }
    }
}

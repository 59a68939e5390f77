//! The platform as falconer's actors call it: it does what it is asked, refuses, hangs, breaks, or
//! does it and does not say so.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use falconer::effects::{
    ActionQuery, ActionTrace, Applied, Cluster, ClusterError, DeletePodRequest, EvidenceRequest,
    RestartRequest, RollbackRequest, ScaleRequest,
};
use falconer::model::{ClusterEvent, Evidence, Inventory, RolloutStatus, WorkloadRef};
use tokio::sync::watch;

use super::action::{Action, End, What};
use super::cluster::Outage;
use super::death::Actor;
use super::{At, State, World};

/// One cluster's platform, as one actor uses it.
pub struct WorldPlatform {
    /// The world.
    pub world: World,
    /// The cluster's index.
    pub cluster: usize,
    /// Who calls.
    pub caller: Option<Actor>,
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is answered after this time.
    Answered(Duration),
    /// It is done, and no answer comes.
    Lost(Duration),
    /// It is done, and the answer is an error.
    Garbled(Duration),
    /// It is not done.
    Unavailable(Duration),
    /// The object has changed meanwhile, or was said to.
    Conflict(Duration),
    /// It is not allowed.
    Forbidden(Duration),
    /// Nothing happens, and no answer comes.
    Silent,
    /// The adapter has a bug, before it asks.
    BreaksBefore,
    /// The adapter has a bug, after it was answered.
    BreaksAfter(Duration),
}

impl Fate {
    fn delay(self) -> Option<Duration> {
        match self {
            Self::Answered(delay)
            | Self::Lost(delay)
            | Self::Garbled(delay)
            | Self::Unavailable(delay)
            | Self::Conflict(delay)
            | Self::Forbidden(delay)
            | Self::BreaksAfter(delay) => Some(delay),
            Self::BreaksBefore => Some(Duration::ZERO),
            Self::Silent => None,
        }
    }
}

/// A change under way. It tells the world how the call ended, even if nobody waited for it.
struct Call<'a> {
    world: &'a World,
    cluster: usize,
    index: usize,
    deadline: Duration,
    done: bool,
}

impl Call<'_> {
    fn end(&mut self, end: End) {
        self.done = true;
        self.world.lock().action_ended(self.cluster, self.index, end);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.world.lock();
        let now = state.now();
        let began = state.clusters[self.cluster].actions[self.index].began_at;
        let given_up = now.since(began) >= self.deadline;
        let end = if given_up { End::Lost(now) } else { End::Abandoned(now) };
        state.action_ended(self.cluster, self.index, end);
    }
}

impl WorldPlatform {
    fn dies(&self, caller: Actor) -> ! {
        self.world.lock().dies(caller);
        panic!("scenario: the platform's adapter breaks");
    }

    fn fate(&self) -> Fate {
        self.world.lock().fate(self.cluster, self.caller)
    }

    /// Carries out `what` on `workload` as fate has it.
    async fn change(&self, workload: &WorkloadRef, what: What) -> Result<Applied, ClusterError> {
        let fate = self.fate();
        let operation = if matches!(what, What::Restart { .. }) { "restart" } else { "scale" };
        let (mut call, words) = {
            let mut state = self.world.lock();
            let (index, deadline) = state.asked_for(self.cluster, workload, what);
            let words = state.clusters[self.cluster].actions[index].what.words();
            let world = &self.world;
            (Call { world, cluster: self.cluster, index, deadline, done: false }, words)
        };
        match fate.delay() {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
        let now = self.world.now();
        let object = workload.to_string();
        let failed = |message: &str| {
            let (object, message) = (workload.to_string(), message.to_owned());
            ClusterError::Failed { operation, object, message }
        };
        let answer = match fate {
            Fate::Answered(_) => self.world.lock().carry_out(self.cluster, call.index, operation),
            Fate::Lost(_) => {
                let _ = self.world.lock().carry_out(self.cluster, call.index, operation);
                std::future::pending().await
            }
            Fate::Garbled(_) => {
                let _ = self.world.lock().carry_out(self.cluster, call.index, operation);
                call.end(End::Lost(now));
                return Err(failed("connection reset"));
            }
            Fate::BreaksAfter(_) => {
                let _ = self.world.lock().carry_out(self.cluster, call.index, operation);
                self.dies(self.caller.unwrap_or(Actor::Recoverer))
            }
            Fate::BreaksBefore => self.dies(self.caller.unwrap_or(Actor::Recoverer)),
            Fate::Unavailable(_) => Err(failed("503 service unavailable")),
            Fate::Conflict(_) => {
                Err(ClusterError::Conflict { operation, object, message: "409".to_owned() })
            }
            Fate::Forbidden(_) => {
                Err(ClusterError::Forbidden { operation, object, message: "403".to_owned() })
            }
            Fate::Silent => std::future::pending().await,
        };
        call.end(match &answer {
            Ok(()) => End::Taken(now),
            Err(ClusterError::Conflict { .. }) => End::Outdated(now),
            Err(_) => End::Refused(now),
        });
        answer.map(|()| Applied { applied: true, change: words })
    }

    /// Asks for something that changes nothing.
    async fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> Result<T, ClusterError> {
        let fate = self.fate();
        match fate.delay() {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
        let (operation, object) = ("look at", "workload".to_owned());
        match fate {
            Fate::Answered(_) => Ok(look(&mut self.world.lock())),
            Fate::Lost(_) | Fate::Silent => std::future::pending().await,
            Fate::Garbled(_) | Fate::Unavailable(_) | Fate::Conflict(_) | Fate::Forbidden(_) => {
                Err(ClusterError::Failed { operation, object, message: "503".to_owned() })
            }
            Fate::BreaksAfter(_) | Fate::BreaksBefore => {
                self.dies(self.caller.unwrap_or(Actor::Recoverer))
            }
        }
    }
}

#[async_trait]
impl Cluster for WorldPlatform {
    fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.world.lock().clusters[self.cluster].inventory()
    }

    async fn restart(&self, request: &RestartRequest) -> Result<Applied, ClusterError> {
        let key = request.idempotency_key.clone();
        self.change(&request.workload, What::Restart { key, stamp: request.at }).await
    }

    async fn delete_pod(&self, request: &DeletePodRequest) -> Result<Applied, ClusterError> {
        Err(not_in_this_world("delete pod", &request.workload))
    }

    async fn rollback(&self, request: &RollbackRequest) -> Result<Applied, ClusterError> {
        Err(not_in_this_world("roll back", &request.workload))
    }

    async fn find_action(&self, action: &ActionQuery) -> Result<ActionTrace, ClusterError> {
        self.look(|state| state.trace_of(self.cluster, action)).await?
    }

    async fn evidence(&self, _: &EvidenceRequest) -> Result<Vec<Evidence>, ClusterError> {
        self.look(|_| Vec::new()).await
    }

    async fn rollout_status(&self, workload: &WorkloadRef) -> Result<RolloutStatus, ClusterError> {
        self.look(|state| state.tell_status(self.cluster, workload)).await?
    }

    async fn scale(&self, request: &ScaleRequest) -> Result<Applied, ClusterError> {
        let what = What::Scale { from: request.from, to: request.to };
        self.change(&request.workload, what).await
    }

    async fn record_event(&self, event: &ClusterEvent) -> Result<(), ClusterError> {
        self.world.lock().event(self.cluster, event);
        self.look(|_| ()).await
    }

    async fn shutdown(&self, _: Duration) {}
}

fn not_in_this_world(operation: &'static str, workload: &WorkloadRef) -> ClusterError {
    let message = "this world knows restarts and scalings only".to_owned();
    ClusterError::Unsupported { operation, object: workload.to_string(), message }
}

impl State {
    /// How the next call of `caller` goes.
    fn fate(&mut self, cluster: usize, caller: Option<Actor>) -> Fate {
        let quick = self.dice.millis(5, 400);
        if self.calm {
            return Fate::Answered(quick);
        }
        let trouble = match self.clusters[cluster].outage.map(|(outage, _)| outage) {
            Some(Outage::Refuses) => return Fate::Unavailable(quick),
            Some(Outage::Hangs) => return Fate::Silent,
            Some(Outage::Flickers) => 0.4,
            None => 0.03,
        };
        if !self.dice.chance(trouble) {
            let slow = self.dice.chance(0.03);
            return Fate::Answered(if slow { self.dice.seconds(1, 25) } else { quick });
        }
        self.counts.faults += 1;
        let dies = caller.is_some_and(|caller| self.may_die(caller));
        match self.dice.number(0, 9) {
            0 | 1 => Fate::Lost(quick),
            2 => Fate::Garbled(quick),
            3 => Fate::Conflict(quick),
            4 if self.dice.chance(0.3) => Fate::Forbidden(quick),
            4 | 5 => Fate::Silent,
            6 if dies => Fate::BreaksBefore,
            7 if dies => Fate::BreaksAfter(quick),
            _ => Fate::Unavailable(quick),
        }
    }

    /// A change was asked for: it is noted, and held against the rules.
    fn asked_for(
        &mut self,
        cluster: usize,
        workload: &WorkloadRef,
        what: What,
    ) -> (usize, Duration) {
        let now = self.now();
        let settings = &self.plan.settings;
        let (deadline, decided_at) = match what {
            What::Restart { .. } => {
                (settings.recoverer.request_timeout, self.take_announcement(cluster, workload, now))
            }
            What::Scale { .. } => (settings.scaler.request_timeout, now),
        };
        let at = self.place_of(cluster, workload).unwrap_or(At { cluster, target: 0 });
        self.check_change(at, workload, &what, decided_at);
        let index = self.clusters[cluster].actions.len();
        if let What::Restart { key, stamp } = &what {
            self.check_restart(at, index, key, *stamp, decided_at);
        }
        self.say_of(at, format_args!("asked to {}", what.words()));
        let workload = workload.clone();
        self.clusters[cluster].actions.push(Action {
            at,
            workload,
            what,
            decided_at,
            began_at: now,
            executed: false,
            end: End::Running,
            told_failed: false,
        });
        (index, deadline)
    }

    /// The platform does it, if it can be done.
    fn carry_out(
        &mut self,
        cluster: usize,
        index: usize,
        operation: &'static str,
    ) -> Result<(), ClusterError> {
        let Action { at, workload, what, .. } = self.clusters[cluster].actions[index].clone();
        let object = workload.to_string();
        let unsupported = |message: &str| {
            let (object, message) = (workload.to_string(), message.to_owned());
            ClusterError::Unsupported { operation, object, message }
        };
        let target = self.target_mut(at);
        let present = target.present_since.is_some();
        let Some(run) = target.run.as_mut().filter(|_| present) else {
            return Err(ClusterError::NotFound { operation, object });
        };
        let words = what.words();
        match what {
            What::Restart { key, .. } => {
                if run.restart_key.as_ref() == Some(&key) {
                    return Ok(());
                }
                if run.paused || run.desired == 0 {
                    return Err(unsupported("paused, or without replicas"));
                }
                run.restart_key = Some(key);
                self.counts.restarts += 1;
                self.begin_rollout(at, Some(index));
            }
            What::Scale { from, to } => {
                if run.desired != from {
                    let message = format!("it has {} replicas now", run.desired);
                    return Err(ClusterError::Conflict { operation, object, message });
                }
                self.counts.scalings += 1;
                self.begin_growth(at, to, Some(index));
            }
        }
        self.clusters[cluster].actions[index].executed = true;
        self.say_of(at, format_args!("DOES {words}"));
        Ok(())
    }

    /// What became of a restart, as its workload tells.
    fn trace_of(
        &mut self,
        cluster: usize,
        action: &ActionQuery,
    ) -> Result<ActionTrace, ClusterError> {
        let now = self.now();
        let found = self.place_of(cluster, &action.workload);
        let target = found.map(|at| self.target(at)).filter(|t| t.present_since.is_some());
        let key = target.and_then(|t| t.run.as_ref()).map(|run| run.restart_key.clone());
        let done = key.as_ref().is_some_and(|key| key.as_ref() == Some(&action.idempotency_key));
        let actions = &mut self.clusters[cluster].actions;
        let asked_for = actions.iter_mut().rev().find(|one| match &one.what {
            What::Restart { key, .. } => *key == action.idempotency_key,
            What::Scale { .. } => false,
        });
        if let Some(action) = asked_for {
            // What falconer is told here is as good as the answer that it did not get.
            action.end = if done { End::Taken(now) } else { End::NeverArrived(now) };
        }
        let trace = if done { ActionTrace::Done } else { ActionTrace::NotDone };
        self.say(format_args!("{} was looked up: {trace:?}", action.idempotency_key));
        let (Some(at), Some(_)) = (found, key) else {
            let (operation, object) = ("find action on", action.workload.to_string());
            return Err(ClusterError::NotFound { operation, object });
        };
        if done {
            self.excuse(at, now);
        }
        Ok(trace)
    }

    fn action_ended(&mut self, cluster: usize, index: usize, end: End) {
        let action = &mut self.clusters[cluster].actions[index];
        action.end = end;
        let (at, words) = (action.at, action.what.words());
        self.say_of(at, format_args!("{words}: {}", end.words()));
        if let (What::Restart { .. }, End::Taken(now)) =
            (&self.clusters[cluster].actions[index].what, end)
        {
            self.excuse(at, now);
        }
    }

    fn tell_status(
        &mut self,
        cluster: usize,
        workload: &WorkloadRef,
    ) -> Result<RolloutStatus, ClusterError> {
        let now = self.now();
        let found = self.place_of(cluster, workload);
        let target = found.map(|at| self.target(at)).filter(|t| t.present_since.is_some());
        let Some((target, run)) = target.and_then(|t| Some((t, t.run.as_ref()?))) else {
            let (operation, object) = ("rollout status of", workload.to_string());
            return Err(ClusterError::NotFound { operation, object });
        };
        let status = run.status(target.is_unready(), now);
        if let (RolloutStatus::Complete, Some(at)) = (&status, found) {
            self.target_mut(at).told_complete_at = Some(now);
        }
        let failed = matches!(status, RolloutStatus::Failed { .. });
        for action in &mut self.clusters[cluster].actions {
            action.told_failed |= failed && action.workload == *workload;
        }
        Ok(status)
    }
}

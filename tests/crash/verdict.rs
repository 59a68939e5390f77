//! What is allowed, judged by what the API and the receivers have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use falconer::model::Timestamp;
use falconer::sim::{ApiRequest, Simulation};
use tokio::task::JoinHandle;

use crate::life::Lived;
use crate::surgeon::{Operation, open};

/// Between two actions on one component.
pub const COOLDOWN: Duration = Duration::from_millis(1_500);
/// Actions on one component …
pub const BUDGET: usize = 4;
/// … in this time.
pub const BUDGET_PER: Duration = Duration::from_secs(20);

/// What a message says of an incident for which falconer has no step left.
const FOR_PERSON: &str = "left to a person";

/// A message as a receiver got it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub component: String,
    pub incident: String,
    pub status: String,
    pub severity: String,
    /// Whether it says that the incident is left to a person, which is news of its own.
    pub is_for_person: bool,
    /// By which the receiver recognises a message that it has got before.
    pub id: String,
}

/// What the webhook got, in order.
pub fn webhooks(sim: &Simulation) -> Vec<Message> {
    let all = sim.webhook().requests().all().into_iter().filter_map(|one| one.json());
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let messages = |one: serde_json::Value| {
        let alerts = one["alerts"].as_array().cloned().unwrap_or_default().into_iter();
        let message = |alert: serde_json::Value| Message {
            component: text(&alert["component"]["component"]),
            incident: text(&alert["incident"]),
            status: text(&alert["status"]),
            severity: text(&alert["severity"]),
            is_for_person: alert.to_string().contains(FOR_PERSON),
            id: format!("{} {}", text(&one["id"]), text(&alert["incident"])),
        };
        alerts.map(message).collect::<Vec<_>>()
    };
    all.flat_map(messages).collect()
}

/// What the mail server got, in order.
pub fn mails(sim: &Simulation) -> Vec<Message> {
    let message = |mail: falconer::sim::smtp::ReceivedMail| {
        let (id, body) = (mail.header("message-id").unwrap_or_default(), mail.body());
        // The incident's thread stands for its name: `<falconer.THREAD.MESSAGE@domain>`.
        let (thread, status) = (id.split('.').nth(1), mail.header("x-falconer-status"));
        let component = body.lines().find_map(|line| line.strip_prefix("Component:"));
        let component = component.map(|name| name.trim().to_owned());
        Message {
            component: component.unwrap_or_default(),
            incident: thread.unwrap_or_default().to_owned(),
            status: status.unwrap_or_default(),
            severity: mail.subject(),
            is_for_person: body.contains(FOR_PERSON),
            id,
        }
    };
    sim.smtp().mails().all().into_iter().map(message).collect()
}

/// Collects what disturbed a workload, of which the API forgets the oldest.
pub struct Collector {
    task: JoinHandle<Vec<ApiRequest>>,
    is_over: Arc<AtomicBool>,
}

impl Collector {
    pub fn start(sim: &Arc<Simulation>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (sim, over) = (Arc::clone(sim), Arc::clone(&is_over));
        let task = tokio::spawn(async move {
            let mut found: Vec<ApiRequest> = Vec::new();
            loop {
                let last = over.load(Ordering::SeqCst);
                let newest = found.last().map_or(Timestamp::default(), |one| one.at);
                let since = newest.minus(Duration::from_secs(10));
                let is_new = |one: &ApiRequest| one.is_disruption() && one.at >= since;
                for one in sim.api_requests().matching(is_new) {
                    if !found.contains(&one) {
                        found.push(one);
                    }
                }
                if last {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { task, is_over }
    }

    pub fn finish(self) -> Vec<ApiRequest> {
        self.is_over.store(true, Ordering::SeqCst);
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(self.task).expect("it collects")
        })
    }
}

/// An action that the API took.
#[derive(Debug, Clone)]
struct Action {
    at: Timestamp,
    component: String,
    /// What must not happen twice.
    identity: String,
}

fn action(request: &ApiRequest, components: &[String]) -> Option<Action> {
    let name = &request.name;
    let component = components.iter().find(|role| name.split('-').any(|part| part == **role))?;
    let key = request.body.split("falconer.io/restart-key\":\"").nth(1);
    let key = key.and_then(|rest| rest.split('"').next());
    let identity = match (request.resource, key) {
        ("pods", _) => format!("pod {name}"),
        (_, Some(key)) => format!("{name} {key}"),
        // Another patch would be a surprise.
        (resource, None) => format!("{resource} {name} {}", request.body),
    };
    Some(Action { at: request.at, component: component.clone(), identity })
}

/// The figures, and what is wrong.
pub struct Verdict {
    pub complaints: Vec<String>,
    figures: BTreeMap<&'static str, serde_json::Value>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for complaint in &self.complaints {
            writeln!(f, "WRONG: {complaint}")?;
        }
        write!(f, "{}", serde_json::json!({"test": "crash", "figures": self.figures}))
    }
}

impl Verdict {
    pub fn of(
        sim: &Simulation,
        requests: Vec<ApiRequest>,
        operations: &[Operation],
        deaths: &[Lived],
    ) -> Self {
        let mut verdict = Self { complaints: Vec::new(), figures: BTreeMap::new() };
        verdict.count_deaths(deaths);
        let roles = sim.settings().components.iter().map(|one| one.role.as_str().to_owned());
        let roles: Vec<String> = roles.collect();
        let actions: Vec<Action> =
            requests.iter().filter_map(|request| action(request, &roles)).collect();
        let evictions = requests.iter().filter(|one| one.resource == "pods").count();
        verdict.figure("evictions", evictions);
        verdict.figure("restarts", requests.len() - evictions);
        verdict.judge_actions(&actions);
        verdict.judge_operations(operations);
        verdict.judge_messages("webhook", &webhooks(sim));
        verdict.judge_messages("mail", &mails(sim));
        verdict
    }

    fn figure(&mut self, name: &'static str, value: impl serde::Serialize) {
        self.figures.insert(name, serde_json::to_value(value).expect("a figure"));
    }

    fn wrong(&mut self, what: String) {
        self.complaints.push(what);
    }

    fn count_deaths(&mut self, deaths: &[Lived]) {
        self.figure("kills", deaths.len());
        self.figure(
            "kills_right_after_an_event",
            deaths.iter().filter(|one| one.after_event).count(),
        );
        self.figure("disks_wiped", deaths.iter().filter(|one| one.wiped).count());
        let all: Duration = deaths.iter().map(|one| one.lasted).sum();
        let count = u32::try_from(deaths.len().max(1)).unwrap_or(1);
        self.figure("mean_life_ms", (all / count).as_millis() as u64);
    }

    fn judge_actions(&mut self, actions: &[Action]) {
        let mut seen = BTreeSet::new();
        let mut twice = 0;
        for action in actions {
            if !seen.insert(&action.identity) {
                twice += 1;
                self.wrong(format!("done twice: {action:?}"));
            }
        }
        self.figure("actions_done_twice", twice);
        let mut by_component: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
        for action in actions {
            by_component.entry(&action.component).or_default().push(action.at);
        }
        let (mut shortest, mut most) = (None::<Duration>, 0);
        for (component, times) in &mut by_component {
            times.sort();
            for pair in times.windows(2) {
                let apart = pair[1].since(pair[0]);
                shortest = Some(shortest.map_or(apart, |other| other.min(apart)));
                if apart < COOLDOWN {
                    self.wrong(format!("{component}: two actions {apart:?} apart, at {}", pair[1]));
                }
            }
            for (index, first) in times.iter().enumerate() {
                let within = times[index..].iter().filter(|at| at.since(*first) < BUDGET_PER);
                let within = within.count();
                most = most.max(within);
                if within > BUDGET {
                    self.wrong(format!(
                        "{component}: {within} actions in {BUDGET_PER:?} from {first}"
                    ));
                }
            }
        }
        self.figure("shortest_time_between_actions_ms", shortest.map(|it| it.as_millis() as u64));
        self.figure("cooldown_ms", COOLDOWN.as_millis() as u64);
        self.figure("most_actions_within_a_budget", most);
        self.figure("budget", BUDGET);
    }

    fn judge_operations(&mut self, operations: &[Operation]) {
        self.figure("faults", operations.len());
        let untold: Vec<_> = operations.iter().filter(|one| one.told.is_none()).collect();
        let unended: Vec<_> = operations.iter().filter(|one| one.ended.is_none()).collect();
        self.figure("faults_never_told", untold.len());
        self.figure("ends_never_told", unended.len());
        for one in untold {
            self.wrong(format!("nobody was told of {one}"));
        }
        for one in unended {
            self.wrong(format!("nobody was told of the end of {one}"));
        }
        let slowest = |of: fn(&Operation) -> Option<Duration>| {
            operations.iter().filter_map(of).max().map(|longest| longest.as_millis() as u64)
        };
        self.figure("slowest_told_ms", slowest(|one| one.told));
        self.figure("slowest_end_ms", slowest(|one| one.ended));
    }

    fn judge_messages(&mut self, receiver: &'static str, messages: &[Message]) {
        let mut ids: BTreeSet<&str> = BTreeSet::new();
        let mut said: BTreeSet<(&str, &str, &str, bool)> = BTreeSet::new();
        let (mut repeated, mut doubled) = (0, 0);
        for message in messages {
            let Message { incident, status, severity, is_for_person, .. } = message;
            if !ids.insert(&message.id) {
                // It was being sent when falconer was killed: a receiver knows it by its identity.
                repeated += 1;
            } else if !said.insert((incident, status, severity, *is_for_person)) {
                doubled += 1;
                self.wrong(format!("{receiver} was told twice: {message:?}"));
            }
        }
        let incidents: BTreeSet<&str> = messages.iter().map(|one| one.incident.as_str()).collect();
        let open = open(messages);
        if !open.is_empty() {
            self.wrong(format!("{receiver} was never told of the end of {open:?}"));
        }
        let figures = serde_json::json!({
            "messages": messages.len(),
            "incidents": incidents.len(),
            "same_message_again": repeated,
            "other_message_of_the_same": doubled,
            "never_ended": open.len(),
        });
        self.figure(receiver, figures);
        self.judge_one_at_a_time(receiver, messages);
    }

    /// A component has one incident at a time, and nobody hears of two.
    fn judge_one_at_a_time(&mut self, receiver: &str, messages: &[Message]) {
        let mut open: BTreeMap<&str, &str> = BTreeMap::new();
        for message in messages {
            let (component, incident) = (message.component.as_str(), message.incident.as_str());
            if message.status != "firing" {
                if open.get(component) == Some(&incident) {
                    open.remove(component);
                }
            } else if let Some(other) = open.insert(component, incident)
                && other != incident
            {
                self.wrong(format!(
                    "{receiver} heard of two incidents at once: {other}, {message:?}"
                ));
            }
        }
    }
}

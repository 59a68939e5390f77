//! What must be true of a step as a whole, judged at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::configuration::{PROBE_INTERVAL, STUCK_TIMEOUT};
use super::super::deeds::{Deed, concerns, disruptions};
use super::super::scenario::{Step, Verdict};
use super::{Observer, one_line};
use crate::model::Timestamp;
use crate::sim::smtp::ReceivedMail;

/// How much later than its interval a probe may come. Generous, because the whole world shares
/// this machine; a sequential loop would be late by seconds.
const LATENESS_MS: u64 = 800;

impl Observer<'_> {
    /// What speaks against the verdict; nothing when it holds.
    pub(in crate::cli::demo) fn judge(
        &self,
        verdict: Verdict,
        step: &Step,
        from: Timestamp,
    ) -> Vec<String> {
        let component = step.component;
        match verdict {
            Verdict::ProberWasStuck => {
                let longest = self.longest_gap(component, from);
                let enough = STUCK_TIMEOUT.as_millis() as u64 - LATENESS_MS;
                let not_stuck = format!("{component} was probed all the time: it never stalled");
                if longest >= enough { Vec::new() } else { vec![not_stuck] }
            }
            Verdict::SiblingsOnTime => {
                let bound = PROBE_INTERVAL.as_millis() as u64 + LATENESS_MS;
                let siblings = self.sim.settings().components.iter().map(|c| c.role.as_str());
                siblings
                    .filter(|sibling| *sibling != component)
                    .map(|sibling| (sibling, self.longest_gap(sibling, from)))
                    .filter(|(_, gap)| *gap > bound)
                    .map(|(sibling, gap)| format!("{sibling} was not probed for {gap} ms"))
                    .collect()
            }
            Verdict::NobodyTold => {
                let unwanted = self.mails(from).into_iter();
                let unwanted = unwanted.filter(|mail| mail.subject().contains(component));
                unwanted
                    .map(|mail| format!("nobody should be told, but: {}", mail.subject()))
                    .collect()
            }
            Verdict::NothingDone => {
                let path = format!("-{component}");
                let write = self.write("patch", &path, "", from);
                write.map(|_| format!("{component} was changed")).into_iter().collect()
            }
            Verdict::OnlyDone(wanted) => {
                let done = self.deeds(from);
                let names = |deeds: &[Deed]| deeds.iter().map(|it| it.as_str()).collect::<Vec<_>>();
                let other = format!("done: {:?}, wanted: {:?}", names(&done), names(wanted));
                if done == wanted { Vec::new() } else { vec![other] }
            }
            Verdict::WithinBudgets => self.beyond_budgets(from),
            Verdict::NothingAskedFor(time) => self.asked_within(from, time),
            Verdict::OneMailNamesIt => self.other_than_one_naming(component, from),
        }
    }

    /// The disruptions since then.
    pub(in crate::cli::demo) fn deeds(&self, since: Timestamp) -> Vec<Deed> {
        disruptions(self.sim, since).iter().map(Deed::of).collect()
    }

    /// The mails since then.
    pub(in crate::cli::demo) fn mails(&self, since: Timestamp) -> Vec<ReceivedMail> {
        self.sim.smtp().mails().matching(|mail| mail.received_at >= since)
    }

    fn beyond_budgets(&self, from: Timestamp) -> Vec<String> {
        let done = disruptions(self.sim, from);
        let mut complaints = Vec::new();
        let components = self.sim.settings().components.iter().map(|one| one.role.as_str());
        let mut check = |what: &str, count: usize, most: usize| {
            if count > most {
                complaints.push(format!("{count} actions on {what}, its budget is {most}"));
            }
        };
        for component in components {
            let own = done.iter().filter(|request| concerns(self.sim, request, component)).count();
            check(component, own, self.budgets.component);
        }
        check("the cluster", done.len(), self.budgets.cluster);
        if done.is_empty() {
            complaints.push("nothing was done at all".to_owned());
        }
        complaints
    }

    /// What was asked for, granted or not, so soon after `from`.
    fn asked_within(&self, from: Timestamp, time: Duration) -> Vec<String> {
        let until = from + time;
        let asked = self.sim.api_requests().matching(|request| {
            let reads = matches!(request.verb, "get" | "list" | "watch");
            let disturbs = request.group == "apps" || request.resource == "pods";
            !reads && disturbs && request.at >= from && request.at < until
        });
        asked.iter().map(|it| format!("{} {} was asked for", it.verb, it.path)).collect()
    }

    fn other_than_one_naming(&self, component: &str, from: Timestamp) -> Vec<String> {
        let mails = self.mails(from);
        let (of_it, others): (Vec<_>, Vec<_>) =
            mails.iter().partition(|mail| mail.subject().contains(component));
        let mut complaints = Vec::new();
        if of_it.len() != 1 {
            complaints.push(format!("{} mails are about {component}, not 1", of_it.len()));
        }
        let silent = others.iter().filter(|mail| !one_line(&mail.body()).contains(component));
        let words = |mail: &&&ReceivedMail| {
            let (subject, body) = (mail.subject(), one_line(&mail.body()));
            format!("a mail does not point to {component}: {subject}: {body}")
        };
        complaints.extend(silent.map(|mail| words(&mail)));
        complaints
    }

    /// The longest time between two requests to the same pod of a component, in milliseconds.
    pub(in crate::cli::demo) fn longest_gap(&self, component: &str, from: Timestamp) -> u64 {
        let requests = self
            .sim
            .pod_requests()
            .matching(|request| request.at >= from && request.component == component);
        let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
        let mut longest = 0;
        let living: Vec<String> =
            self.sim.pods(component).into_iter().map(|pod| pod.name).collect();
        for pod in &living {
            last.insert(pod, from);
        }
        for request in &requests {
            if let Some(last) = last.get_mut(request.pod.as_str()) {
                longest = longest.max(request.at.since(*last).as_millis() as u64);
                *last = request.at;
            }
        }
        let now = self.now();
        last.values().map(|at| now.since(*at).as_millis() as u64).fold(longest, u64::max)
    }
}

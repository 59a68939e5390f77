//! The rules of `[[maintenance]]` and `[alerter.mute.NAME]`, and which of them leave no time.

use std::time::Duration;

use super::{Judge, names};
use crate::config::path::KeyPath;
use crate::config::settings::TimeSettings;
use crate::config::values::{HumanDuration, TimeOfDay};
use crate::config::wording::did_you_mean;
use crate::model::Held;
use crate::policy::calendar::{
    LONGEST_WINDOW, Recurrence, RecurrenceError, Weekday, leave_no_time, time_zones,
};
use crate::policy::silence::check_matchers;

const MINUTE: Duration = Duration::from_mins(1);
/// More windows than this are a slip.
pub(super) const MOST_WINDOWS: usize = 100;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let path = KeyPath::of(&["maintenance"]);
    let windows = &judge.settings.maintenance;
    too_many(judge, &path, windows.len());
    for (index, window) in windows.iter().take(MOST_WINDOWS).enumerate() {
        let path = path.index(index);
        time(judge, &path, &window.time());
        let holds = path.key("holds");
        if window.holds.is_empty() {
            judge.value(&holds, "must name something: \"alerts\", \"recovery\" or \"scaling\"");
        }
        judge.unique(&holds, &window.holds, |held| format!("\"{}\"", held.as_str()));
        let held = window.holds.iter().copied().collect();
        if let Err(why) = check_matchers(&window.matchers.to_policy(), &held) {
            judge.value(&path.key("matchers"), format!("cannot be so: {why}"));
        }
    }
    let mutes = KeyPath::of(&["alerter", "mute"]);
    for (name, mute) in &judge.settings.alerter.mute {
        let path = mutes.key(name);
        names::made_up(judge, &path, name);
        time(judge, &path, mute);
    }
    for (index, route) in judge.settings.alerter.routes.iter().enumerate() {
        let path = KeyPath::of(&["alerter", "routes"]).index(index).key("mute");
        self::mute(judge, &path, &route.mute);
    }
}

pub(super) fn too_many(judge: &mut Judge<'_>, path: &KeyPath, count: usize) {
    if count > MOST_WINDOWS {
        judge.value(path, format!("has {count} windows, at most {MOST_WINDOWS} are taken"));
    }
}

fn mute(judge: &mut Judge<'_>, path: &KeyPath, named: &[String]) {
    let known = &judge.settings.alerter.mute;
    judge.unique(path, named, |name| format!("{name:?}"));
    for (index, name) in named.iter().enumerate() {
        if !known.contains_key(name) {
            let hint = did_you_mean(name, known.keys().map(String::as_str));
            let what = format!("names {name:?}, but there is no [alerter.mute.{name}]{hint}");
            judge.value(&path.index(index), what);
        }
    }
}

/// A time that comes again, at `path`.
fn time(judge: &mut Judge<'_>, path: &KeyPath, time: &TimeSettings) {
    let (cron, from) = (path.key("cron"), path.key("from"));
    judge.unique(&path.key("days"), &time.days, |day: &Weekday| format!("\"{}\"", day.as_str()));
    let longest = LONGEST_WINDOW;
    judge.duration(&path.key("duration"), time.duration, MINUTE, longest);
    if time.cron.is_empty() {
        if !judge.origins.is_set(&from) && time.days.is_empty() {
            judge.lacks(path, &["cron", "from", "days"], "needs \"cron\", or \"from\"");
        }
    } else if !time.days.is_empty() || time.from != TimeOfDay::default() {
        judge.value(&cron, "says when: \"days\" and \"from\" do not go with it");
    }
    match time.to_policy() {
        Ok(recurrence) => period(judge, path, &recurrence),
        Err(RecurrenceError::Zone) => {
            let (zone, zones) = (&time.time_zone, time_zones());
            let hint = did_you_mean(zone, zones.iter().map(String::as_str));
            let what = format!("{}: {zone:?}{hint}", RecurrenceError::Zone);
            judge.value(&path.key("time_zone"), what);
        }
        Err(error @ (RecurrenceError::Pattern(_) | RecurrenceError::Never)) => {
            judge.value(&cron, error.to_string());
        }
    }
}

/// What has not ended when it begins again was meant otherwise.
fn period(judge: &mut Judge<'_>, path: &KeyPath, recurrence: &Recurrence) {
    let Some(period) = recurrence.shortest_period() else { return };
    if recurrence.duration() > period {
        let (lasts, period) =
            (HumanDuration::from(recurrence.duration()), HumanDuration::from(period));
        let what = format!("is longer ({lasts}) than the {period} until it begins again");
        judge.value(&path.key("duration"), what);
    }
}

/// What covers the whole week.
pub(super) fn warn(judge: &mut Judge<'_>) {
    let path = KeyPath::of(&["maintenance"]);
    let windows = judge.settings.maintenance.iter();
    let for_all: Vec<_> = windows
        .filter_map(|window| window.to_policy().ok())
        .filter(|window| window.matchers.is_empty())
        .collect();
    for held in Held::ALL {
        let holding = for_all.iter().filter(|window| window.holds.contains(&held));
        if leave_no_time(holding.map(|window| &window.time)) {
            let what = match held {
                Held::Alerts => "nobody is ever told anything",
                Held::Recovery => "nothing is ever restarted",
                Held::Scaling => "nothing is ever scaled",
            };
            judge.value(&path, format!("covers the whole week: {what}"));
        }
    }
    for (index, route) in judge.settings.alerter.routes.iter().enumerate() {
        let mutes = route.mute.iter().filter_map(|name| judge.settings.alerter.mute.get(name));
        let times: Vec<Recurrence> = mutes.filter_map(|mute| mute.to_policy().ok()).collect();
        if leave_no_time(&times) {
            let path = KeyPath::of(&["alerter", "routes"]).index(index).key("mute");
            judge.value(&path, "covers the whole week: nobody is ever told on this route");
        }
    }
}

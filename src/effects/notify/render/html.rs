//! A message as HTML for mail programs: tables, inline styles and nothing else, since many programs
//! drop the rest. Owns the layout; the pieces are in `html/pieces.rs`, the words in `content.rs`.
//!
//! Text and background have no colour of their own, so that a program in dark mode shows both as it
//! shows everything else, and one that turns colours around has little to turn. Only the severity
//! has one, on a ground of its own.

mod pieces;

use pieces::{Tone, band, card, command_block, fact_table, list, opening, overview_row};

use super::content::{
    LINE_LIMIT, LOOK_CLOSER, alert_facts, alert_paragraphs, alert_tag, alert_title, component,
    how_long, rest_of_thread,
};
use super::safe::{escape, one_line};
use super::subject::{headline, is_single, tag, title};
use super::text::{MOST_IN_BRIEF, MOST_IN_FULL, group};
use crate::model::{AlertMessage, Notification, Timestamp};

/// Beyond this no alert is told in full any more, in bytes. Gmail cuts a mail at 102 KB.
const FULL_BUDGET: usize = 70_000;
/// Beyond this alerts are counted only, in bytes.
const BRIEF_BUDGET: usize = 95_000;

/// The message as HTML; every value is escaped.
pub fn html(notification: &Notification) -> String {
    let lead = &notification.lead;
    let reason = one_line(&lead.reason.text, LINE_LIMIT);
    let preview = format!("{reason}, since {}", lead.started_at);
    let subject = format!("[{}] {}", tag(notification), headline(notification));
    let mut html = opening(&subject, &preview);
    if is_single(notification) {
        push_single(&mut html, notification);
    } else {
        push_several(&mut html, notification);
    }
    html.push_str(pieces::CLOSING);
    html
}

fn push_single(html: &mut String, notification: &Notification) {
    let (alert, now) = (&notification.lead, notification.sent_at);
    let state = format!("{} {}", tag(notification), how_long(alert, now));
    html.push_str(&band(Tone::of(alert), &state, &title(notification), &component(alert)));
    html.push_str(pieces::BODY_BEGINS);
    // The band has said which component it is.
    let mut facts = alert_facts(alert, now).split_off(1);
    facts.push(("Sent", now.to_string()));
    push_alert(html, alert, &facts);
    push_rest(html, notification);
    html.push_str(&pieces::small(&[
        format!("Incident {}", one_line(alert.incident.as_str(), LINE_LIMIT)),
        pieces::SENDER.to_owned(),
    ]));
    html.push_str(pieces::BODY_ENDS);
}

fn push_several(html: &mut String, notification: &Notification) {
    let now = notification.sent_at;
    let worst = notification.alerts().map(Tone::of).max().unwrap_or(Tone::Resolved);
    let labels = group(notification);
    html.push_str(&band(worst, &tag(notification), &headline(notification), &labels));
    html.push_str(pieces::BODY_BEGINS);
    let in_full = if notification.is_digest { 0 } else { MOST_IN_FULL };
    let mut rest = Vec::new();
    for (index, alert) in notification.alerts().enumerate() {
        if index >= in_full || html.len() > FULL_BUDGET {
            rest.push(alert);
        } else {
            html.push_str(&in_full_card(alert, now));
        }
    }
    push_overview(html, &rest, notification);
    push_rest(html, notification);
    html.push_str(&pieces::small(&[format!("Sent {now}"), pieces::SENDER.to_owned()]));
    html.push_str(pieces::BODY_ENDS);
}

fn in_full_card(alert: &AlertMessage, now: Timestamp) -> String {
    let mut inside = String::new();
    // The line above the title says which component it is.
    push_alert(&mut inside, alert, &alert_facts(alert, now).split_off(1));
    let place = [component(alert), how_long(alert, now)];
    card(Tone::of(alert), &alert_tag(alert), &place, &alert_title(alert), &inside)
}

/// Reason, facts, and the other paragraphs.
fn push_alert(html: &mut String, alert: &AlertMessage, facts: &[(&'static str, String)]) {
    let mut facts = Some(facts);
    for (heading, lines) in alert_paragraphs(alert) {
        if heading == "Reason" {
            html.push_str(&pieces::leading(&lines.join(" ")));
            html.push_str(&facts.take().map(fact_table).unwrap_or_default());
        } else if heading == LOOK_CLOSER {
            html.push_str(&pieces::heading(heading));
            html.push_str(&command_block(&lines));
        } else {
            html.push_str(&pieces::heading(heading));
            html.push_str(&list(&lines));
        }
    }
    html.push_str(&facts.take().map(fact_table).unwrap_or_default());
}

/// The alerts that are not told in full, a row each.
fn push_overview(html: &mut String, alerts: &[&AlertMessage], notification: &Notification) {
    if alerts.is_empty() && notification.left_out == 0 {
        return;
    }
    let now = notification.sent_at;
    html.push_str(pieces::TABLE_BEGINS);
    let mut shown = 0;
    for alert in alerts.iter().take(MOST_IN_BRIEF) {
        if html.len() > BRIEF_BUDGET {
            break;
        }
        let reason = one_line(&alert.reason.text, LINE_LIMIT / 2);
        let place = [component(alert), how_long(alert, now)];
        let what = [alert_tag(alert), alert_title(alert), reason];
        html.push_str(&overview_row(Tone::of(alert), &place, &what));
        shown += 1;
    }
    html.push_str(pieces::TABLE_ENDS);
    let left_out = alerts.len() - shown + notification.left_out;
    if left_out > 0 {
        html.push_str(&pieces::small(&[format!("and {left_out} more")]));
    }
}

fn push_rest(html: &mut String, notification: &Notification) {
    if let Some(sentence) = rest_of_thread(notification) {
        html.push_str(&pieces::paragraph(&escape(&format!("{sentence}."))));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, notification};
    use super::*;
    use crate::model::AlertStatus;

    /// The only tags that a mail is made of.
    const KNOWN: [&str; 17] = [
        "doctype", "html", "head", "meta", "title", "body", "div", "table", "tr", "td", "p", "br",
        "span", "ul", "li", "pre", "br",
    ];

    /// Everything between `<` and `>`.
    fn tags(html: &str) -> Vec<&str> {
        html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
    }

    #[test]
    fn html_holds_no_markup_from_outside() {
        let mut hostile = group();
        let poison = "<b onclick=x>\"no\"</b> & <!-- ' --> </td></table><style>";
        for alert in std::iter::once(&mut hostile.lead).chain(&mut hostile.others) {
            alert.title = poison.into();
            alert.action = poison.into();
            alert.reason.text = poison.into();
            alert.details = vec![poison.into()];
            alert.component = crate::model::ComponentId::new(poison, poison);
        }
        hostile.group = [(poison.to_owned(), poison.to_owned())].into();
        for is_digest in [false, true] {
            hostile.is_digest = is_digest;
            let html = html(&hostile);
            assert!(html.contains("&lt;b onclick=x&gt;&quot;no&quot;&lt;/b&gt;"));
            for tag in tags(&html) {
                let name = tag.trim_start_matches(['/', '!']).split(' ').next().unwrap();
                assert!(KNOWN.contains(&name), "<{tag}>");
                assert!(!tag.contains("onclick"), "<{tag}>");
            }
        }
    }

    #[test]
    fn everything_that_is_opened_is_closed() {
        for message in [notification(AlertStatus::Firing), group()] {
            let html = html(&message);
            for name in ["table", "tr", "td", "ul", "li", "div", "p", "pre", "html", "body"] {
                let opened =
                    tags(&html).iter().filter(|tag| tag.split(' ').next() == Some(name)).count();
                assert_eq!(opened, html.matches(&format!("</{name}>")).count(), "{name}");
            }
        }
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let html = html(&group());
        for outside in ["http", "src=", "url(", "<link", "<style", "<script", "@"] {
            let at = html.find(outside).map(|at| &html[at..(at + 40).min(html.len())]);
            // The one address that is known from the first line of the document on.
            let found = at.filter(|text| !text.starts_with("@2026"));
            assert_eq!(found, None, "{outside}");
        }
    }

    #[test]
    fn a_thousand_alerts_stay_below_what_mail_programs_cut() {
        let mut storm = group();
        let mut one = notification(AlertStatus::Firing).lead;
        one.details = vec!["\"&<>".repeat(100); 100];
        storm.lead = one.clone();
        storm.others = vec![one; 999];
        for is_digest in [false, true] {
            storm.is_digest = is_digest;
            let html = html(&storm);
            assert!(html.len() < 160_000, "{}", html.len());
            assert!(html.contains(" more</p>"));
        }
    }
}

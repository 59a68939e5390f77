//! The pieces a mail is made of: a coloured band, cards, tables, lists. Owns every style. What is
//! handed to these functions is plain text, which they escape, except where they say otherwise.

use std::fmt::Write as _;

use super::escape;
use crate::model::{AlertMessage, AlertStatus, Severity};

/// What a mail says at its end of itself.
pub(super) const SENDER: &str = "Sent by falconer, which watches this Milvus.";

const FONT: &str =
    "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONOSPACE: &str = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace";
/// A line that is seen on white and on black; the first for programs that know no transparency.
const LINE: &str = "1px solid #b8bdc4;border-color:rgba(128,128,128,.35)";

/// Begins the part below the band.
pub(super) const BODY_BEGINS: &str = "<tr><td style=\"padding:20px 24px 22px;border:1px solid #b8bdc4;\
    border-color:rgba(128,128,128,.35);border-top:0;border-radius:0 0 8px 8px\">\n";
/// Ends it.
pub(super) const BODY_ENDS: &str = "</td></tr>\n";
/// Ends the document.
pub(super) const CLOSING: &str = "</table>\n</td></tr></table>\n</body></html>\n";
/// Begins a table over the whole width.
pub(super) const TABLE_BEGINS: &str = "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" \
    cellspacing=\"0\" border=\"0\" style=\"border-collapse:collapse\">\n";
/// Ends a table.
pub(super) const TABLE_ENDS: &str = "</table>\n";

/// The colour of a state, the calmest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// It is over.
    Resolved,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Tone {
    /// That of an alert.
    pub(super) const fn of(alert: &AlertMessage) -> Self {
        match (alert.status, alert.severity) {
            (AlertStatus::Resolved, _) => Self::Resolved,
            (AlertStatus::Firing, Severity::Warning) => Self::Warning,
            (AlertStatus::Firing, Severity::Critical) => Self::Critical,
        }
    }

    /// A ground on which white text can be read.
    const fn colour(self) -> &'static str {
        match self {
            Self::Resolved => "#1a7f37",
            Self::Warning => "#b35309",
            Self::Critical => "#b42318",
        }
    }
}

/// The document up to the table in which everything stands. `preview` is what a list of mails shows
/// beside the subject.
pub(super) fn opening(subject: &str, preview: &str) -> String {
    let (subject, preview) = (escape(subject), escape(preview));
    format!(
        "<!doctype html>\n<html lang=\"en\" style=\"color-scheme:light dark\"><head>\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\n\
         <title>{subject}</title></head>\n\
         <body style=\"margin:0;padding:0;{FONT};font-size:15px;line-height:1.5\">\n\
         <div style=\"display:none;max-height:0;overflow:hidden;mso-hide:all\">{preview}</div>\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\">\
         <tr><td align=\"center\" style=\"padding:16px 8px\">\n\
         <table role=\"presentation\" width=\"640\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         style=\"width:100%;max-width:640px;text-align:left;border-collapse:separate;{FONT};\
         font-size:15px;line-height:1.5\">\n"
    )
}

/// The coloured band at the top: the state, the title, and where.
pub(super) fn band(tone: Tone, state: &str, title: &str, place: &str) -> String {
    let colour = tone.colour();
    let mut band = format!(
        "<tr><td bgcolor=\"{colour}\" style=\"background-color:{colour};color:#ffffff;\
         padding:18px 24px 20px;border-radius:8px 8px 0 0;word-break:break-word\">\n\
         <div style=\"font-size:13px;font-weight:bold;letter-spacing:.05em\">{}</div>\n\
         <div style=\"font-size:21px;line-height:1.3;font-weight:bold;padding-top:4px\">{}</div>\n",
        escape(state),
        escape(title),
    );
    if !place.is_empty() {
        let place = escape(place);
        let _ = writeln!(band, "<div style=\"font-size:14px;padding-top:4px\">{place}</div>");
    }
    band.push_str("</td></tr>\n");
    band
}

/// One alert of several, with a bar in its colour; `inside` is HTML.
pub(super) fn card(
    tone: Tone,
    state: &str,
    place: &[String; 2],
    title: &str,
    inside: &str,
) -> String {
    let (colour, title) = (tone.colour(), escape(title));
    format!(
        "{TABLE_BEGINS}<tr><td width=\"4\" bgcolor=\"{colour}\" style=\"width:4px;padding:0;\
         background-color:{colour}\"></td>\n\
         <td style=\"padding:2px 0 10px 16px\">{}\n\
         <div style=\"font-size:17px;line-height:1.35;font-weight:bold;padding:6px 0 2px;\
         word-break:break-word\">{title}</div>\n{inside}</td></tr>\n\
         <tr><td colspan=\"2\" style=\"height:18px;line-height:18px;font-size:1px\">&nbsp;</td></tr>\n\
         {TABLE_ENDS}",
        badge(tone, state, place)
    )
}

/// The state on its colour, and beside it the component and for how long.
fn badge(tone: Tone, state: &str, place: &[String; 2]) -> String {
    let (colour, state) = (tone.colour(), escape(state));
    let [component, when] = place.each_ref().map(|text| escape(text));
    format!(
        "<span style=\"background-color:{colour};color:#ffffff;font-size:11px;font-weight:bold;\
         letter-spacing:.05em;padding:2px 7px;border-radius:4px;white-space:nowrap\">{state}</span> \
         <span style=\"font-size:13px;opacity:.75\">{component}, \
         <span style=\"white-space:nowrap\">{when}</span></span>"
    )
}

/// The sentence that matters most.
pub(super) fn leading(text: &str) -> String {
    let text = escape(text);
    format!("<p style=\"margin:0 0 12px;font-size:16px;word-break:break-word\">{text}</p>\n")
}

/// A paragraph; `html` is HTML.
pub(super) fn paragraph(html: &str) -> String {
    format!("<p style=\"margin:14px 0 0\">{html}</p>\n")
}

/// The name of what follows.
pub(super) fn heading(text: &str) -> String {
    let text = escape(text);
    format!("<p style=\"margin:18px 0 4px;font-size:14px;font-weight:bold\">{text}</p>\n")
}

/// Names and values.
pub(super) fn fact_table(facts: &[(&'static str, String)]) -> String {
    let mut table = TABLE_BEGINS.to_owned();
    for (name, value) in facts {
        let value = escape(value);
        let _ = writeln!(
            table,
            "<tr><td width=\"110\" valign=\"top\" style=\"width:96px;padding:5px 12px 5px 0;\
             border-top:{LINE};font-size:14px;opacity:.7\">{name}</td>\
             <td valign=\"top\" style=\"padding:5px 0;border-top:{LINE};font-size:14px;\
             word-break:break-word\">{value}</td></tr>"
        );
    }
    table.push_str(TABLE_ENDS);
    table
}

/// A sentence where there is one line, else a list.
pub(super) fn list(lines: &[String]) -> String {
    if let [only] = lines {
        let only = escape(only);
        return format!("<p style=\"margin:0;word-break:break-word\">{only}</p>\n");
    }
    let mut list = "<ul style=\"margin:0;padding:0 0 0 20px\">\n".to_owned();
    for line in lines {
        let line = escape(line);
        let _ = writeln!(list, "<li style=\"margin:0 0 3px;word-break:break-word\">{line}</li>");
    }
    list.push_str("</ul>\n");
    list
}

/// Commands, to be copied.
pub(super) fn command_block(commands: &[String]) -> String {
    let commands = escape(&commands.join("\n"));
    format!(
        "<pre style=\"margin:4px 0 0;padding:10px 12px;{MONOSPACE};font-size:13px;line-height:1.5;\
         background-color:rgba(128,128,128,.14);border:{LINE};border-radius:6px;\
         white-space:pre-wrap;word-break:break-word\">{commands}</pre>\n"
    )
}

/// A row for one alert: `place` is its component and for how long, `what` its state, title and
/// reason.
pub(super) fn overview_row(tone: Tone, place: &[String; 2], what: &[String; 3]) -> String {
    let [state, title, reason] = what;
    let (colour, badge) = (tone.colour(), badge(tone, state, place));
    let (title, reason) = (escape(title), escape(reason));
    format!(
        "<tr><td width=\"4\" bgcolor=\"{colour}\" style=\"width:4px;padding:0;\
         background-color:{colour};border-bottom:{LINE}\"></td>\n\
         <td valign=\"top\" style=\"padding:8px 0 9px 12px;border-bottom:{LINE};\
         word-break:break-word\">{badge}\n<div style=\"font-weight:bold;padding-top:2px\">{title}</div>\
         <div style=\"font-size:14px;opacity:.85\">{reason}</div></td></tr>\n"
    )
}

/// What matters least, below a line.
pub(super) fn small(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| escape(line)).collect();
    format!(
        "<p style=\"margin:22px 0 0;padding-top:10px;border-top:{LINE};font-size:12px;opacity:.65;\
         word-break:break-word\">{}</p>\n",
        lines.join("<br>\n")
    )
}

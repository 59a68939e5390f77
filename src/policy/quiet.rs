//! What is held, why and until when: silences that people made and windows that come again. Pure; who
//! is quiet because of it is the business of whoever asks.

use super::maintenance::MaintenanceWindow;
use super::silence::SilenceBook;
use crate::model::{ComponentId, Held, Matchers, Severity, Silence, Timestamp};

/// A time in which people want nothing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// Which window or whose silence, e.g. `maintenance window "sunday"`.
    pub why: String,
    /// Its end.
    pub until: Timestamp,
}

/// What holds one thing, such as alerts, at one instant.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    holds: Vec<(Matchers, Quiet)>,
}

impl InForce {
    /// Everything that holds `held` at `now`. Looks at each window and silence once, so that many
    /// components can be asked about.
    pub fn at(
        windows: &[MaintenanceWindow],
        silences: &SilenceBook,
        held: Held,
        now: Timestamp,
    ) -> Self {
        let open = windows.iter().filter(|window| window.holds.contains(&held));
        let open = open.filter_map(|window| {
            let quiet = Quiet { why: window.name(), until: window.time.open_until(now)? };
            Some((window.matchers.clone(), quiet))
        });
        let silences = silences.active(now).filter(|silence| silence.holds.contains(&held));
        let silences = silences.map(|silence| {
            let quiet = Quiet { why: name(silence), until: silence.ends_at };
            (silence.matchers.clone(), quiet)
        });
        Self { holds: open.chain(silences).collect() }
    }

    /// What holds it for `component`; of several what ends last. `severity` is that of its incident:
    /// where it is not known, only what asks for none can hold.
    pub fn over(&self, component: &ComponentId, severity: Option<Severity>) -> Option<&Quiet> {
        let about = self.holds.iter().filter(|(about, _)| matches(about, component, severity));
        about.map(|(_, quiet)| quiet).max_by_key(|quiet| quiet.until)
    }
}

/// Why nothing but telling people is to be done about `component` at `now`, where that is `held`.
pub fn quiet(
    windows: &[MaintenanceWindow],
    silences: &SilenceBook,
    held: Held,
    component: &ComponentId,
    now: Timestamp,
) -> Option<Quiet> {
    InForce::at(windows, silences, held, now).over(component, None).cloned()
}

/// Whether everything that is given matches.
pub fn matches(matchers: &Matchers, component: &ComponentId, severity: Option<Severity>) -> bool {
    let fits = |pattern: &Option<std::sync::Arc<str>>, name: &str| {
        pattern.as_deref().is_none_or(|pattern| glob(pattern, name))
    };
    fits(&matchers.cluster, &component.cluster)
        && fits(&matchers.component, &component.component)
        && matchers.severity.is_none_or(|only| severity == Some(only))
}

/// Whether `text` is `pattern`, in which `*` stands for any letters and `?` for one. Goes back to the
/// newest `*` only, which is enough, so that no pattern takes long.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[from] => {
                at += 1;
                from += 1;
            }
            Some(_) | None => {
                let Some((star_at, swallowed)) = star else { return false };
                star = Some((star_at, swallowed + 1));
                (at, from) = (star_at + 1, swallowed + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// `silence k7x2mq by ada ("new disks")`
fn name(silence: &Silence) -> String {
    format!("silence {} by {} (\"{}\")", silence.id, silence.created_by, silence.comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_letters_and_a_question_mark_is_one() {
        for (pattern, text) in [
            ("querynode", "querynode"),
            ("query*", "querynode"),
            ("*node", "datanode"),
            ("*n*de", "indexnode"),
            ("?roxy", "proxy"),
            ("*", ""),
            ("a*b*c", "aXbXbc"),
            ("**", "x"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("query", "querynode"), ("?", ""), ("*x", "proxy"), ("", "a"), ("a*b", "abc")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
        let (hard, long) = ("*a".repeat(50), format!("{}b", "a".repeat(5_000)));
        assert!(!glob(&hard, &long));
    }

    #[test]
    fn all_that_is_given_must_match_and_a_severity_only_where_it_is_known() {
        let id = ComponentId::new("milvus-ha", "querynode");
        let matchers = |cluster: Option<&str>, component: Option<&str>, severity| Matchers {
            cluster: cluster.map(Into::into),
            component: component.map(Into::into),
            severity,
        };
        let critical = Some(Severity::Critical);
        assert!(matches(&matchers(None, None, None), &id, None));
        assert!(matches(&matchers(Some("milvus-*"), Some("query*"), critical), &id, critical));
        assert!(!matches(&matchers(Some("other"), Some("query*"), None), &id, critical));
        assert!(!matches(&matchers(None, None, critical), &id, Some(Severity::Warning)));
        assert!(!matches(&matchers(None, None, critical), &id, None));
    }
}

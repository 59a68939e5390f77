//! Which component somebody means. Pure.

use std::fmt;

use crate::model::ComponentId;

/// More names are not suggested.
const MOST_SUGGESTED: usize = 12;
/// A longer name is compared with nothing: that would take long, and nobody meant it.
const LONGEST_NAME: usize = 200;

/// There is no such component, or more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// There is none.
    None {
        /// What was asked for.
        asked: String,
        /// Those that there are, the nearest first.
        known: Vec<String>,
        /// How many there are.
        of: usize,
    },
    /// Several clusters have one.
    Several {
        /// Those.
        names: Vec<String>,
    },
}

impl std::error::Error for Unknown {}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { asked, known, .. } if known.is_empty() => {
                write!(f, "there is no component {asked:?}: nothing is known of any yet")
            }
            Self::None { asked, known, of } => {
                write!(f, "there is no component {asked:?}; there is {}", known.join(", "))?;
                match of - known.len() {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Several { names } => {
                write!(f, "several clusters have one; say which: {}", names.join(", "))
            }
        }
    }
}

/// The component that `asked` names: by its full name, or by its own where that is enough.
///
/// # Errors
/// When there is none of that name, or more than one.
pub fn resolve(asked: &str, known: &[ComponentId]) -> Result<ComponentId, Unknown> {
    if let Some(exact) = known.iter().find(|id| id.to_string() == asked) {
        return Ok(exact.clone());
    }
    let named: Vec<&ComponentId> = known.iter().filter(|id| *id.component == *asked).collect();
    match named.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Unknown::None {
            asked: asked.chars().take(LONGEST_NAME).collect(),
            known: nearest(asked, known),
            of: known.len(),
        }),
        several => {
            let names = several.iter().take(MOST_SUGGESTED).map(ToString::to_string);
            Err(Unknown::Several { names: names.collect() })
        }
    }
}

/// A full name as it is, whether it is known or not.
pub fn whole(asked: &str) -> Option<ComponentId> {
    let (cluster, component) = asked.split_once('/')?;
    let is_fine = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME;
    (is_fine(cluster) && is_fine(component)).then(|| ComponentId::new(cluster, component))
}

fn nearest(asked: &str, known: &[ComponentId]) -> Vec<String> {
    let asked = asked.to_lowercase();
    let distance = |id: &ComponentId| {
        if asked.len() > LONGEST_NAME {
            return 0;
        }
        let to = |name: &str| strsim::damerau_levenshtein(&asked, &name.to_lowercase());
        to(&id.component).min(to(&id.to_string()))
    };
    let mut ranked: Vec<(usize, String)> =
        known.iter().map(|id| (distance(id), id.to_string())).collect();
    ranked.sort();
    ranked.into_iter().take(MOST_SUGGESTED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<ComponentId> {
        [("a", "proxy"), ("a", "querynode"), ("b", "proxy"), ("b", "etcd")]
            .map(|(cluster, component)| ComponentId::new(cluster, component))
            .to_vec()
    }

    #[test]
    fn a_component_is_named_by_itself_where_that_is_enough() {
        let name = |asked| resolve(asked, &known()).map(|id| id.to_string());
        assert_eq!(name("querynode").unwrap(), "a/querynode");
        assert_eq!(name("b/proxy").unwrap(), "b/proxy");
        let several = name("proxy").unwrap_err().to_string();
        assert_eq!(several, "several clusters have one; say which: a/proxy, b/proxy");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones_the_nearest_first() {
        let words = resolve("qurynode", &known()).unwrap_err().to_string();
        let expected = "there is no component \"qurynode\"; there is a/querynode, ";
        assert!(words.starts_with(expected), "{words}");
        let long = resolve(&"x".repeat(100_000), &known()).unwrap_err().to_string();
        assert!(long.len() < 400, "{}", long.len());
        assert!(
            resolve("x", &[]).unwrap_err().to_string().ends_with("nothing is known of any yet")
        );
    }

    #[test]
    fn only_a_full_name_is_taken_as_it_is() {
        assert_eq!(whole("a/gone").unwrap().to_string(), "a/gone");
        assert_eq!((whole("gone"), whole("/x"), whole("x/")), (None, None, None));
    }
}

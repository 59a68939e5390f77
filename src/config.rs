//! Configuration: `actors.toml` and the environment, typed, validated, with the origin of every
//! value. Owns reading and judging; never starts anything.
//!
//! `document` (text → values with positions) → `decode` (values → [`Settings`]; `layers` lays the
//! file over the defaults and a component's table over the common one) → `environment` → `rules`.

mod decode;
mod document;
pub mod environment;
mod layers;
mod origins;
mod path;
mod print;
pub mod problem;
mod rules;
pub mod secret;
pub mod settings;
pub mod values;
pub(crate) mod wording;

use std::path::{Path, PathBuf};

use document::Document;
use environment::Variables;

pub use origins::{Origin, Origins};
pub use path::KeyPath;
pub use problem::{ConfigErrors, Location, Problem};
pub use secret::Secret;
pub use settings::Settings;
pub use values::{ByteSize, HumanDuration};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "actors.toml";

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Every value, defaults filled in.
    pub settings: Settings,
    /// What is valid but does nothing, in the order of the file.
    pub warnings: Vec<Problem>,
    /// Where every value comes from.
    pub origins: Origins,
    /// The file it was read from.
    pub path: PathBuf,
}

impl Loaded {
    /// Every effective key, one a line, in the shape of the file, with its origin as a comment;
    /// secrets as `***`.
    ///
    /// # Errors
    /// When a value cannot be written as TOML, which no value that was read can cause.
    pub fn print(&self) -> Result<String, String> {
        print::print(&self.settings, &self.origins)
    }

    /// Fails where there is no cluster: such a file is valid, but there is nothing to watch.
    ///
    /// # Errors
    /// With one problem that says what to write.
    pub fn require_clusters(&self) -> Result<(), ConfigErrors> {
        if !self.settings.clusters.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors::whole(
            &self.path.display().to_string(),
            "there is no cluster to watch; write a table [clusters.NAME] with its platform",
        ))
    }
}

/// Reads `path`, or `actors.toml` in the working directory, lays the environment of this process
/// over it and checks everything, the named files included.
///
/// # Errors
/// With every problem found, in the order of the file.
pub fn load(path: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    load_with(path.unwrap_or(Path::new(DEFAULT_FILE)), &environment::of_this_process())
}

/// As [`load`], with these variables instead of the environment of this process.
///
/// # Errors
/// With every problem found, in the order of the file.
pub fn load_with(path: &Path, variables: &Variables) -> Result<Loaded, ConfigErrors> {
    let mut loaded = finish(Document::read(path)?, variables)?;
    path.clone_into(&mut loaded.path);
    Ok(loaded)
}

/// As [`load_with`], from text that messages call `file`; for configurations that are made rather
/// than read.
///
/// # Errors
/// With every problem found, in the order of the text.
pub fn parse(file: &str, text: &str, variables: &Variables) -> Result<Loaded, ConfigErrors> {
    finish(Document::parse(file, text)?, variables)
}

fn finish(mut document: Document, variables: &Variables) -> Result<Loaded, ConfigErrors> {
    let path = PathBuf::from(document.file().as_ref());
    let mut problems = std::mem::take(&mut document.problems);
    let mut user = std::mem::take(&mut document.tree);
    let mut origins = Origins::new(document);
    let mut left_out = Vec::new();
    decode::decode_leaving_out(&mut user, &origins, &mut problems, &mut left_out);
    environment::overlay(&mut user, variables, &mut origins, &mut problems, &mut left_out);
    let mut settings =
        decode::decode_leaving_out(&mut user, &origins, &mut problems, &mut left_out);
    decode::unknown_keys(&user, &mut settings, &origins, &mut problems);
    settings.recoverer.note_explicit_ladders(&user);
    drop(user);
    for (name, cluster) in &mut settings.clusters {
        cluster.complete(name);
    }
    problems.extend(rules::violations(&settings, &origins, &left_out));
    problems.extend(rules::unreadable_files(&settings, &origins));
    if !problems.is_empty() {
        return Err(ConfigErrors::new(problems));
    }
    let mut warnings = rules::warnings(&settings, &origins);
    warnings.extend(environment::lookalikes(&settings, variables));
    warnings.sort();
    Ok(Loaded { settings, warnings, origins, path })
}

//! `falconer explain`: why something was done about a component, or was not. Owns its arguments and
//! where it looks; the words are falconer's own, put down when it decided.

mod names;
mod remedy;
pub mod render;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;

use super::instance::{self, Instance, Known};
use crate::clock::Clock;
use crate::effects::JournalError;
use crate::effects::journal::{components_in, read_file};
use crate::model::ComponentId;
use crate::model::explanation::{Explanation, Extent, MOST_DECISIONS, explain, queries};

/// Say why falconer did something about a component, or did not.
///
/// Shows how the component is, its open incident, what would have to change for falconer to act, the
/// last decisions with what each guard said, and the actions with their exact changes and how they
/// ended. Asks a running falconer, or reads its journal, also while it runs or after it has died.
/// Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArgs {
    /// The component: querynode, or milvus-ha/querynode where several clusters have one
    #[arg(value_name = "COMPONENT")]
    pub component: String,
    /// Ask the falconer that runs here [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Read this journal instead of asking a running falconer
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub journal: Option<PathBuf>,
    /// How many decisions and actions to show
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=MOST_DECISIONS as i64))]
    pub last: u16,
    /// Print what was kept of the pods before each action, not only its last lines
    #[arg(long)]
    pub evidence: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// The configuration file [default: actors.toml in the working directory, if there is one]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  falconer explain querynode
  falconer explain milvus-ha/querynode --last 10 --evidence
  falconer explain querynode --journal /var/lib/falconer/falconer.db
  falconer explain querynode --url http://127.0.0.1:8000 --json | jq '.decisions[0].guards'

Exit codes:
  0  explained
  1  no falconer answers, the journal cannot be read, or there is no such component
  2  wrong arguments or wrong configuration";

/// Explains.
///
/// # Errors
/// When nobody answers, the journal cannot be read, or the component is not known.
pub fn execute(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let extent = Extent { last: usize::from(args.last), evidence: args.evidence };
    let explanation = match &args.journal {
        Some(path) => from_file(path, &args.component, extent)?,
        None => from_instance(&args, extent)?,
    };
    let text = if args.json {
        let value = serde_json::to_value(&explanation).context("cannot write JSON")?;
        format!("{value:#}\n")
    } else {
        let width =
            if io::stdout().is_terminal() { render::Width::Folded } else { render::Width::AsItIs };
        render::text(&explanation, width)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => other.context("cannot write to standard output").map(|()| ExitCode::SUCCESS),
    }
}

fn from_file(path: &Path, asked: &str, extent: Extent) -> anyhow::Result<Explanation> {
    if !path.exists() {
        anyhow::bail!(
            "there is no journal {}; [recorder] path in the configuration says where it is",
            path.display()
        );
    }
    let known = components_in(path).map_err(in_words)?;
    let id = names::resolve(asked, &known)?;
    let mut entries = Vec::new();
    for query in queries(&id, extent) {
        entries.extend(read_file(path, &query).map_err(in_words)?);
    }
    Ok(explain(&id, &entries, extent, Clock::system().now()))
}

fn in_words(error: JournalError) -> anyhow::Error {
    anyhow::Error::new(error)
}

#[derive(Deserialize)]
struct List {
    components: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    cluster: Arc<str>,
    component: Arc<str>,
}

#[allow(clippy::print_stderr, reason = "a note that is not the answer")]
fn from_instance(args: &ExplainArgs, extent: Extent) -> anyhow::Result<Explanation> {
    let (url, journal) = if let Some(url) = &args.url {
        (url.clone(), PathBuf::from("falconer.db"))
    } else {
        let Known { settings, trouble } = instance::known(args.config.as_deref())?;
        if let Some(trouble) = trouble {
            eprintln!("note: {trouble}");
        }
        (instance::reachable_at(settings.server.listen), settings.recorder.path)
    };
    let instance = Instance::at(&url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start a runtime")?;
    runtime.block_on(ask(&instance, args, extent, &journal))
}

async fn ask(
    instance: &Instance,
    args: &ExplainArgs,
    extent: Extent,
    journal: &Path,
) -> anyhow::Result<Explanation> {
    let list: List = instance.get(&["api", "v1", "explain"], &[]).await.with_context(|| {
        let hint = if journal.as_os_str().is_empty() { Path::new("FILE") } else { journal };
        format!(
            "cannot ask a running falconer; --url says where it runs, and if it has ended, read its \
             journal: falconer explain {} --journal {}",
            args.component,
            hint.display()
        )
    })?;
    let known: Vec<ComponentId> = list
        .components
        .into_iter()
        .map(|one| ComponentId::new(one.cluster, one.component))
        .collect();
    let id = match names::resolve(&args.component, &known) {
        Ok(id) => id,
        // One that is watched no more may still be in the journal.
        Err(unknown) => names::whole(&args.component).ok_or(unknown)?,
    };
    let query = [("last", extent.last.to_string()), ("evidence", extent.evidence.to_string())];
    let path = ["api", "v1", "explain", &*id.cluster, &*id.component];
    match instance.get(&path, &query).await {
        // The known names say more.
        Err(error) if is_unknown(&error) => {
            Err(names::resolve(&args.component, &known).err().map_or(error, anyhow::Error::new))
        }
        other => other,
    }
}

fn is_unknown(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<instance::Refused>();
    refused.is_some_and(|refused| refused.status == reqwest::StatusCode::NOT_FOUND)
}

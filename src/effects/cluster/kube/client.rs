//! The client for the Kubernetes API: made on demand, made anew when its credentials or
//! connections have gone bad. Owns no watch and no request.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::guard::GuardLayer;
use super::kubeconfig;
use super::problem::{Problem, credential_words};
use super::settings::{ClientSource, Timing};

/// A client and which one in a row it is.
#[derive(Clone)]
pub struct Lease {
    /// The client.
    pub client: Client,
    /// Its number.
    pub generation: u64,
}

/// Hands out the one client of an adapter.
#[derive(Clone)]
pub struct ClientHandle {
    source: ClientSource,
    timing: Timing,
    made: Arc<Mutex<Made>>,
}

#[derive(Default)]
struct Made {
    generation: u64,
    client: Option<Client>,
    /// The newest failure; kept for a moment, so that many waiting watches try only once.
    failure: Option<(Instant, Problem)>,
}

impl ClientHandle {
    /// A handle that has no client yet; must not be used outside a tokio runtime.
    pub fn new(source: ClientSource, timing: Timing) -> Self {
        Self { source, timing, made: Arc::default() }
    }

    /// The client; made now, where there is none. Bounded by the deadline of a request.
    pub async fn lease(&self) -> Result<Lease, Problem> {
        let mut made = self.made.lock().await;
        if let Some(client) = &made.client {
            return Ok(Lease { client: client.clone(), generation: made.generation });
        }
        if let Some((at, problem)) = &made.failure
            && at.elapsed() < self.timing.retry_initial
        {
            return Err(problem.clone());
        }
        match self.make().await {
            Ok(client) => {
                made.generation += 1;
                made.failure = None;
                made.client = Some(client.clone());
                Ok(Lease { client, generation: made.generation })
            }
            Err(problem) => {
                made.failure = Some((Instant::now(), problem.clone()));
                Err(problem)
            }
        }
    }

    /// Lets go of the client number `generation`; a newer one stays.
    pub async fn discard(&self, generation: u64) {
        let mut made = self.made.lock().await;
        if made.generation == generation {
            made.client = None;
        }
    }

    /// One request within the deadline of a request. After a failure that another client may not
    /// have, the client is made anew.
    pub async fn call<T, F>(&self, request: impl FnOnce(Client) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let lease = self.lease().await?;
        let problem = match timeout(self.timing.request, request(lease.client)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Problem::from(&error),
            Err(_) => Problem::Silent { message: String::new() },
        };
        if problem.wants_new_client() {
            self.discard(lease.generation).await;
        }
        Err(problem)
    }

    async fn make(&self) -> Result<Client, Problem> {
        let deadline = self.timing.request;
        match timeout(deadline, make(self.source.clone(), self.timing)).await {
            Ok(made) => made,
            Err(_) => Err(Problem::Credentials { message: late(deadline) }),
        }
    }
}

fn late(deadline: Duration) -> String {
    format!("the credential plugin did not end within {} s", deadline.as_secs_f64())
}

async fn make(source: ClientSource, timing: Timing) -> Result<Client, Problem> {
    let mut config = match source {
        ClientSource::Explicit(config) => *config,
        ClientSource::Infer { kubeconfig, context } => infer(kubeconfig, context).await?,
    };
    config.connect_timeout = Some(timing.request);
    config.write_timeout = Some(timing.request);
    // We have our own back-off, and a repeated write must be a decision.
    config.default_retry = false;
    // A kubeconfig can name a program that fetches the token; the client runs it synchronously.
    let builder = spawn_blocking(move || ClientBuilder::try_from(config))
        .await
        .map_err(|error| Problem::Credentials { message: error.to_string() })?
        .map_err(|error| Problem::Credentials { message: credential_words(&error) })?;
    Ok(builder.with_layer(&GuardLayer::new(timing)).build())
}

async fn infer(kubeconfig: String, context: String) -> Result<Config, Problem> {
    let options = KubeConfigOptions {
        context: Some(context).filter(|context| !context.is_empty()),
        ..KubeConfigOptions::default()
    };
    let config = match (kubeconfig.is_empty(), options.context.is_some()) {
        (true, false) => Config::infer().await.map_err(|error| {
            let cause = error.source().and_then(|cause| cause.downcast_ref());
            match cause {
                Some(parse @ KubeconfigError::Parse(_)) => kubeconfig::words(parse),
                _ => error.to_string(),
            }
        }),
        (true, true) => {
            Config::from_kubeconfig(&options).await.map_err(|error| kubeconfig::words(&error))
        }
        (false, _) => match Kubeconfig::read_from(&kubeconfig) {
            Ok(read) => Config::from_custom_kubeconfig(read, &options).await,
            Err(error) => Err(error),
        }
        .map_err(|error| format!("kubeconfig {kubeconfig}: {}", kubeconfig::words(&error))),
    };
    config.map_err(|message| Problem::Configuration { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_understood_is_not_quoted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("kubeconfig");
        for text in ["users:\n- name: a\n  user: {token: hunter2\n", "users: hunter2\n", "hunter2"]
        {
            std::fs::write(&path, text).expect("written");
            let read = infer(path.display().to_string(), String::new()).await;
            let text = format!("{:?}", read.map(|_| ()).expect_err("it is wrong"));
            assert!(text.contains("kubeconfig") && !text.contains("hunter2"), "{text}");
        }
    }
}

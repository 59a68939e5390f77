//! How the server's thread asks for a reload or has recovery go on, and which token it wants to see
//! first.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use crate::actors::alerter::{AcknowledgeAlert, AddSilence, AlerterWishes, ExpireSilence};
use crate::actors::link::Link;
use crate::actors::recoverer::Resume;
use crate::effects::secret::SecretFile;
use crate::model::{
    AlertShown, ChangeRefusal, IncidentId, NewSilence, RefusalKind, ReloadRecord, ReloadTrigger,
    Silence,
};
use crate::server::{Administration, ReloadError, ResumeError};

/// How long a client waits for the outcome.
const OUTCOME_WITHIN: Duration = Duration::from_secs(30);

/// How long it waits until recovery goes on.
const RESUMED_WITHIN: Duration = Duration::from_secs(10);

/// How long it waits until people are told otherwise.
const CHANGED_WITHIN: Duration = Duration::from_secs(10);

/// A wish that the configuration be read again.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Why.
    pub trigger: ReloadTrigger,
    /// Where the outcome is told.
    pub reply: Option<oneshot::Sender<ReloadRecord>>,
}

/// The way to whichever recoverer lives, once there is a tree.
pub type ToRecoverer = Arc<OnceLock<Link<Resume>>>;

/// The ways to whichever alerter lives, once there is a tree.
pub type ToAlerter = Arc<OnceLock<AlerterWishes>>;

/// See the module's description.
pub struct Admin {
    /// Where the token is; its file is read at each use.
    pub token: watch::Receiver<SecretFile>,
    /// To whoever reloads.
    pub requests: mpsc::Sender<ReloadRequest>,
    /// To whoever restarts what is sick.
    pub recoverer: ToRecoverer,
    /// To whoever tells people.
    pub alerter: ToAlerter,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("token", &self.token).finish_non_exhaustive()
    }
}

#[async_trait]
impl Administration for Admin {
    async fn token(&self) -> Result<Option<String>, String> {
        let file = self.token.borrow().clone();
        if !file.is_set() {
            return Ok(None);
        }
        file.read().await.map(Some).map_err(|error| error.to_string())
    }

    async fn reload(&self) -> Result<ReloadRecord, ReloadError> {
        let (reply, outcome) = oneshot::channel();
        let request = ReloadRequest { trigger: ReloadTrigger::Api, reply: Some(reply) };
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReloadError::Busy,
            mpsc::error::TrySendError::Closed(_) => ReloadError::Ending,
        })?;
        match tokio::time::timeout(OUTCOME_WITHIN, outcome).await {
            Ok(Ok(record)) => Ok(record),
            Ok(Err(_)) => Err(ReloadError::Ending),
            Err(_) => Err(ReloadError::Late),
        }
    }

    async fn resume(&self, cluster: Option<&str>, by: &str) -> Result<Vec<Arc<str>>, ResumeError> {
        let resume = Resume { cluster: cluster.map(Into::into), by: by.to_owned() };
        let recoverer = self.recoverer.get().ok_or(ResumeError::Away)?;
        match tokio::time::timeout(RESUMED_WITHIN, recoverer.ask(resume)).await {
            Ok(Some(resumed)) => Ok(resumed),
            Ok(None) => Err(ResumeError::Away),
            Err(_) => Err(ResumeError::Late),
        }
    }

    async fn silence(&self, wanted: NewSilence) -> Result<Silence, ChangeRefusal> {
        let alerter = self.alerter.get().ok_or_else(away)?;
        answered(alerter.silence.ask(AddSilence(wanted))).await
    }

    async fn expire(&self, id: &str, by: &str) -> Result<Silence, ChangeRefusal> {
        let alerter = self.alerter.get().ok_or_else(away)?;
        let expire = ExpireSilence { id: id.to_owned(), by: by.to_owned() };
        answered(alerter.expire.ask(expire)).await
    }

    async fn acknowledge(
        &self,
        incident: &IncidentId,
        by: &str,
        comment: &str,
    ) -> Result<AlertShown, ChangeRefusal> {
        let alerter = self.alerter.get().ok_or_else(away)?;
        let (incident, by, comment) = (incident.clone(), by.to_owned(), comment.to_owned());
        answered(alerter.acknowledge.ask(AcknowledgeAlert { incident, by, comment })).await
    }
}

fn away() -> ChangeRefusal {
    let words = "nobody tells people at the moment; try again in a few seconds";
    ChangeRefusal::new(RefusalKind::NotNow, words)
}

async fn answered<T>(
    asked: impl Future<Output = Option<Result<T, ChangeRefusal>>>,
) -> Result<T, ChangeRefusal> {
    match tokio::time::timeout(CHANGED_WITHIN, asked).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(away()),
        Err(_) => {
            let words = "no answer in time; the list says whether it was done";
            Err(ChangeRefusal::new(RefusalKind::NotNow, words))
        }
    }
}

//! The HTTP clients behind receivers: one for each set of authorities, made once, for reading a
//! machine's certificates costs more than a message. Connections are not kept: messages are rare, and
//! one that was closed meanwhile would cost one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Client};
use tokio::time::Instant;

use crate::effects::failure;
use crate::effects::http::{Trust, modest_client};

/// Clients that are kept; of more, the one goes that was made first.
const KEPT: usize = 32;
/// The machine's own authorities are read again after this time.
const SYSTEM_FOR: Duration = Duration::from_mins(10);

/// Whose certificates a client believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authorities {
    /// Nobody's: plain HTTP.
    None,
    /// The machine's own.
    System,
    /// Those in this PEM text alone.
    Only(Vec<u8>),
}

struct Made {
    authorities: Authorities,
    client: Client,
    at: Instant,
}

impl Made {
    /// Whether it still believes what a new one would.
    fn is_fresh(&self) -> bool {
        match self.authorities {
            Authorities::None | Authorities::Only(_) => true,
            Authorities::System => self.at.elapsed() < SYSTEM_FOR,
        }
    }
}

static MADE: Mutex<VecDeque<Made>> = Mutex::new(VecDeque::new());

/// The client that believes `authorities`.
///
/// # Errors
/// When there are none to believe; without secrets.
pub(super) fn client(authorities: Authorities) -> Result<Client, String> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.retain(Made::is_fresh);
    if let Some(known) = made.iter().find(|one| one.authorities == authorities) {
        return Ok(known.client.clone());
    }
    let trust = match &authorities {
        Authorities::None => Trust::Nobody,
        Authorities::System => Trust::System,
        Authorities::Only(pem) => {
            Trust::Only(Certificate::from_pem_bundle(pem).map_err(|error| error.to_string())?)
        }
    };
    let client = modest_client(trust).pool_max_idle_per_host(0).build();
    let client =
        client.map_err(|error| format!("no HTTP client: {}", failure::describe(&error)))?;
    if made.len() >= KEPT {
        made.pop_front();
    }
    made.push_back(Made { authorities, client: client.clone(), at: Instant::now() });
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_is_made_once_for_the_same_authorities_and_the_machines_own_are_read_again() {
        let kept = |authorities: &Authorities| {
            let made = MADE.lock().unwrap();
            made.iter().filter(|one| one.authorities == *authorities).map(|one| one.at).collect()
        };
        for _ in 0..3 {
            client(Authorities::None).unwrap();
        }
        let plain: Vec<Instant> = kept(&Authorities::None);
        assert_eq!(plain.len(), 1);
        let wrong = Authorities::Only(b"-----BEGIN CERTIFICATE-----\n!\n".to_vec());
        assert!(client(wrong.clone()).is_err());
        assert_eq!(kept(&wrong), []);
        if client(Authorities::System).is_ok() {
            let first = kept(&Authorities::System);
            tokio::time::advance(SYSTEM_FOR).await;
            client(Authorities::System).unwrap();
            let second = kept(&Authorities::System);
            assert!(second.len() == 1 && second != first);
        }
        client(Authorities::None).unwrap();
        assert_eq!(kept(&Authorities::None), plain);
    }
}

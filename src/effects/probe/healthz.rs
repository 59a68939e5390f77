//! Asks one Milvus process for its health page. Status 200 is healthy; anything else is quoted.

use std::time::Duration;

use crate::effects::http::{HttpClient, http_get};
use crate::model::{Outcome, ReasonKind};

/// Most bytes of a health page that are read.
const BODY_LIMIT: usize = 64 * 1024;

/// The port's own health page.
pub const HEALTH_PATH: &str = "/healthz";

/// The verdict of the health page at `url`, within `budget`. Milvus' words are part of the reason:
/// `status 500: Not all components are healthy, 3/4`.
pub async fn ask_healthz(client: &HttpClient, url: &str, budget: Duration) -> Outcome {
    let answer = match http_get(client, url, BODY_LIMIT, budget).await {
        Ok(answer) => answer,
        Err(reason) => return Outcome::Failed { reason },
    };
    if let Some(reason) = answer.unexpected_status(200) {
        return Outcome::Failed { reason };
    }
    if answer.head.truncated {
        let text = format!("the health page is larger than {} KiB", BODY_LIMIT / 1024);
        return Outcome::failed(ReasonKind::BadAnswer, text);
    }
    Outcome::Healthy
}

//! What a client sends along: read within bounds of size and time, and refused in words.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What is sent is not longer, in bytes.
const LIMIT: usize = 4 * 1024;
/// What is sent arrives within this time.
const WITHIN: Duration = Duration::from_secs(5);

/// The JSON object in `body`, of which `example` is one; `None` where it is empty.
///
/// # Errors
/// With the answer's code and words.
pub(super) async fn object<T: DeserializeOwned>(
    body: Body,
    example: &str,
) -> Result<Option<T>, (StatusCode, String)> {
    let bytes = match tokio::time::timeout(WITHIN, axum::body::to_bytes(body, LIMIT)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let words = format!("the body could not be read, or is longer than {LIMIT} bytes");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, words));
        }
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not arrive".to_owned())),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    // As a map first: a list would be taken for the fields in their order, and an empty one for all.
    serde_json::from_slice::<Map<String, Value>>(&bytes)
        .and_then(|map| serde_json::from_value(Value::Object(map)))
        .map(Some)
        .map_err(|error| {
            let words = format!("the body must be JSON such as {example}: {error}");
            (StatusCode::BAD_REQUEST, words)
        })
}

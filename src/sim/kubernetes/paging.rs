//! Lists in pages: `limit` and `continue`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::json;
use super::request::Call;
use super::status::Failure;

/// The metadata of the page that `call` asks for, and its objects. The pages after the first are
/// those of the present, not of the time of the first one.
pub(in crate::sim) fn cut(
    call: &Call,
    revision: u64,
    objects: Vec<Value>,
) -> Result<(Value, Vec<Value>), Failure> {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    let token = call.query("continue");
    let mut rest = objects;
    if !token.is_empty() {
        let place =
            URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let place = place.ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        rest.retain(|object| place_of(object) > place);
    }
    let limit = call.whole_number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let Some(limit) = limit.filter(|limit| *limit > 0 && *limit < rest.len()) else {
        return Ok((metadata, rest));
    };
    metadata["remainingItemCount"] = json!(rest.len() - limit);
    rest.truncate(limit);
    let last = rest.last().map(place_of).unwrap_or_default();
    metadata["continue"] = json!(URL_SAFE_NO_PAD.encode(last));
    Ok((metadata, rest))
}

/// Sorts as the store does: by namespace, then by name.
fn place_of(object: &Value) -> String {
    format!("{}\u{0}{}", json::namespace(object), json::name(object))
}

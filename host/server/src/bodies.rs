//! Bodies of requests: read whole, within limits of size and time, and charged to the budget.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use frond_app::size::show_size;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::auth::Principal;
use crate::budget::Charge;
use crate::reply::Problem;
use crate::server::Server;

/// The longest that a request waits for its share of the budget.
const PATIENCE: Duration = Duration::from_secs(5);
/// Prefix of the media types of multipart forms.
const MULTIPART: &[u8] = b"multipart/";

/// Reads a request's body of at most `limit` bytes, charged to the budget before it is read.
pub(crate) async fn read(
    server: &Server,
    principal: &Principal,
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<(Bytes, Charge), Problem> {
    let time = server.settings().config.limits.body_time.0;
    let expected = expected(headers, &body, limit)?;
    let began = Instant::now();
    let budget = server.sending.budget();
    let waiting = tokio::time::timeout(time.min(PATIENCE), budget.take(expected, principal.caller()));
    let mut charge = waiting.await.map_err(|_| {
        let most = show_size(budget.most());
        let text = format!(
            "there is no room for this body: bodies in flight share {most}, of which large requests, and one token's, \
             have a part\n(send the request again, or raise `limits.bodies` in the server's settings)"
        );
        Problem::overloaded(text, Duration::from_secs(1))
    })?;
    let bytes = collect(body, limit, began, time).await?;
    charge.shrink(bytes.len() as u64);
    Ok((bytes, charge))
}

/// Refuses encoded bodies and multipart forms: a body is used as it is sent.
pub(crate) fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain =
        |encoding: &HeaderValue| matches!(encoding.as_bytes().to_ascii_lowercase().as_slice(), b"" | b"identity");
    if let Some(encoding) = headers.get_all(CONTENT_ENCODING).iter().find(|encoding| !is_plain(encoding)) {
        return Err(Problem::unsupported(format!(
            "the body is encoded as `{}`\n(send it as it is, without Content-Encoding)",
            encoding.as_bytes().escape_ascii()
        )));
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..MULTIPART.len()));
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case(MULTIPART)) {
        return Err(Problem::unsupported(
            "the body is a multipart form\n(send the content itself, such as with curl --data-binary)",
        ));
    }
    Ok(())
}

/// The most bytes that a request's body can have: the announced length, or the `limit`.
fn expected(headers: &HeaderMap, body: &Body, limit: u64) -> Result<u64, Problem> {
    plain(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced.or(body.size_hint().exact()) {
        Some(bytes) if bytes > limit => Err(too_large(limit)),
        bytes => Ok(bytes.unwrap_or(limit)),
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::too_large(format!("the body is larger than the {} that are allowed", show_size(limit)))
}

/// Reads a request's body of at most `limit` bytes, within `time` after `began`.
async fn collect(body: Body, limit: u64, began: Instant, time: Duration) -> Result<Bytes, Problem> {
    let read = async {
        let mut body = body;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body ended before it was whole"))?;
            let Ok(data) = frame.into_data() else { continue };
            if (first.len() + rest.len() + data.len()) as u64 > limit {
                return Err(too_large(limit));
            }
            match (first.is_empty(), rest.is_empty()) {
                (true, true) => first = data,
                _ => {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                    rest.extend_from_slice(&data);
                }
            }
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    };
    let late = |_| Problem::timed_out(format!("the body did not arrive within {}s", time.as_secs_f64()));
    tokio::time::timeout_at(began + time, read).await.map_err(late)?
}

#[cfg(test)]
mod tests;

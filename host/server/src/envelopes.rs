//! Envelopes of answers: charged to the budget for bodies before they are made, and if they are
//! large, made on a thread for blocking work.

use std::sync::Arc;

use bytes::Bytes;
use frond_deploy::Version;
use frond_root::Answer;
use frond_run::envelope::Envelope;

use crate::budget::Charge;
use crate::reply::Problem;
use crate::sending::Sending;

/// Largest answer whose envelope is made on a thread of the runtime, in bytes.
const MAX_INLINE: usize = 1 << 20;

/// Makes the envelope of an answer, between two texts. Hold the charge until the envelope is sent.
///
/// # Errors
/// The problem if answers in flight leave no room for it.
pub(crate) async fn envelope(
    sending: &Arc<Sending>,
    version: &Arc<Version>,
    answer: Answer,
    around: (&'static str, &'static str),
) -> Result<(Bytes, Charge), Problem> {
    let is_small = answer.body().is_none_or(|body| body.len() <= MAX_INLINE);
    let sending = sending.clone();
    let version = version.clone();
    let make = move || made(&sending, &version, &answer, around);
    if is_small {
        return make();
    }
    tokio::task::spawn_blocking(make).await.unwrap_or_else(|_| Err(Problem::lost()))
}

fn made(
    sending: &Sending,
    version: &Version,
    answer: &Answer,
    (start, end): (&str, &str),
) -> Result<(Bytes, Charge), Problem> {
    let wrong = |error: serde_json::Error| Problem::bug(format!("the envelope could not be made: {error}"));
    let envelope = Envelope::of(answer, &version.wired.app.content_type, version.wired.laws).map_err(wrong)?;
    let charge = sending.reserve(start.len() + envelope.size() + end.len()).ok_or_else(Problem::crowded)?;
    Ok((envelope.write(start, end).map_err(wrong)?, charge))
}

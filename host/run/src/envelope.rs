//! An answer for programs: one object with the answer, the outcome and the whole coverage report.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use frond_root::{Answer, Coverage, Reason};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::laws::Laws;

/// The version of this form: raised when a field changes its meaning or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Envelope<'a> {
    version: u32,
    outcome: &'a str,
    /// Why there is no answer, if there is none.
    #[serde(flatten)]
    reason: Option<&'a Reason>,
    /// The answer: as it is when it is JSON, as a string when it is text, else under `base64`.
    answer: Option<Body<'a>>,
    coverage: &'a Coverage,
    /// Whether the laws of the app's merge and leaf hold: `hold`, `broken` or `unchecked`.
    laws: &'static str,
}

/// A guest's bytes: as they are when they are JSON, as a string when they are text, else under `base64`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// JSON.
    Json(&'a RawValue),
    /// Text that is no JSON.
    Text(&'a str),
    /// Anything else.
    Bytes {
        /// The bytes, in base64.
        base64: String,
    },
}

impl<'a> From<&'a Bytes> for Body<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        match (serde_json::from_slice(bytes), std::str::from_utf8(bytes)) {
            (Ok(json), _) => Self::Json(json),
            (Err(_), Ok(text)) => Self::Text(text),
            (Err(_), Err(_)) => Self::Bytes { base64: BASE64_STANDARD.encode(bytes) },
        }
    }
}

/// The object, on one line that ends in a line feed.
///
/// # Errors
/// When it cannot be serialised.
pub fn envelope(answer: &Answer, laws: Laws) -> serde_json::Result<Bytes> {
    let envelope = Envelope {
        version: VERSION,
        outcome: answer.outcome(),
        reason: match answer {
            Answer::Failed { reason, .. } => Some(reason),
            Answer::Complete { .. } | Answer::Partial { .. } => None,
        },
        answer: answer.body().map(Body::from),
        coverage: answer.coverage(),
        laws: laws.word(),
    };
    let mut line = serde_json::to_vec(&envelope)?;
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
mod tests;

//! An answer for programs: one object with the answer, the outcome and the whole coverage report.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use frond_root::{Answer, Coverage, Reason};
use serde::Serialize;
use serde::de::IgnoredAny;
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
    /// What is wrong with the answer itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A guest's bytes on one line: as they are when they are JSON, as a string when they are text, else under `base64`. Bytes
/// of an app that declares JSON are never a string of the host's: that would be JSON, and not what the app said.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// JSON.
    Json(Cow<'a, RawValue>),
    /// Text that is no JSON, and is not declared to be.
    Text(&'a str),
    /// Anything else.
    Bytes {
        /// The bytes, in base64.
        base64: String,
    },
}

impl<'a> Body<'a> {
    /// The bytes of an app whose answers are of this content type.
    #[must_use]
    pub fn of(bytes: &'a Bytes, content_type: &str) -> Self {
        match (serde_json::from_slice::<&RawValue>(bytes), std::str::from_utf8(bytes)) {
            (Ok(json), _) => Self::Json(one_line(json)),
            (Err(_), Ok(text)) if !is_json(content_type) => Self::Text(text),
            (Err(_), _) => Self::Bytes { base64: BASE64_STANDARD.encode(bytes) },
        }
    }
}

/// True for `application/json` and what is built on it.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// The value without line ends: whitespace between tokens is left out if there is one, and every token stays as it is.
fn one_line(json: &RawValue) -> Cow<'_, RawValue> {
    let text = json.get();
    if !text.contains(['\n', '\r']) {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(text.len());
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        if quoted || !c.is_ascii_whitespace() {
            line.push(c);
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    // What is left out stands between tokens, so this is the same value.
    RawValue::from_string(line).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// What is wrong with an answer of an app that declares this content type; `None` for one that is as declared. Costs a look at
/// the whole answer.
#[must_use]
pub fn warning(answer: &Answer, content_type: &str) -> Option<String> {
    let body = answer.body().filter(|_| is_json(content_type))?;
    let error = serde_json::from_slice::<IgnoredAny>(body).err()?;
    Some(format!(
        "the answer is not JSON, though the app's `content-type` is {content_type}: {error}\n\
         (JSON has no NaN and no Infinity: return null for them, or declare another content type)"
    ))
}

/// The object, on one line that ends in a line feed. `content_type` is what the app declares.
///
/// # Errors
/// When it cannot be serialised.
pub fn envelope(answer: &Answer, content_type: &str, laws: Laws) -> serde_json::Result<Bytes> {
    let envelope = Envelope {
        version: VERSION,
        outcome: answer.outcome(),
        reason: match answer {
            Answer::Failed { reason, .. } => Some(reason),
            Answer::Complete { .. } | Answer::Partial { .. } => None,
        },
        answer: answer.body().map(|body| Body::of(body, content_type)),
        coverage: answer.coverage(),
        laws: laws.word(),
        warnings: warning(answer, content_type).into_iter().collect(),
    };
    let mut line = serde_json::to_vec(&envelope)?;
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
mod tests;

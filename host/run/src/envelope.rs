//! Answer as JSON for programs: one object with the answer, the outcome and the whole coverage
//! report.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use frond_root::{Answer, Coverage, Reason};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::laws::Laws;

/// Version of the format: raised when a field changes its meaning or is removed.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Envelope<'a> {
    version: u32,
    outcome: &'a str,
    /// Reason of the failure, if the query failed.
    #[serde(flatten)]
    reason: Option<&'a Reason>,
    /// The answer: unchanged if it is JSON, a string if it is text, otherwise under `base64`.
    answer: Option<Body<'a>>,
    coverage: &'a Coverage,
    /// State of the app's laws: `hold`, `broken` or `unchecked`.
    laws: &'static str,
    /// Defects of the answer itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A guest's bytes as JSON on one line: unchanged if they are JSON, a string if they are text,
/// otherwise under `base64`. Bytes of an app that declares JSON never become a string: a string
/// would be valid JSON, but not the app's.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// JSON.
    Json(Cow<'a, RawValue>),
    /// Text that is neither JSON nor declared as JSON.
    Text(&'a str),
    /// All other bytes.
    Bytes {
        /// The bytes in base64.
        base64: String,
    },
}

impl<'a> Body<'a> {
    /// Classifies the bytes of an app whose answers have this content type.
    #[must_use]
    pub fn of(bytes: &'a Bytes, content_type: &str) -> Self {
        match (serde_json::from_slice::<&RawValue>(bytes), std::str::from_utf8(bytes)) {
            (Ok(json), _) => Self::Json(one_line(json)),
            (Err(_), Ok(text)) if !is_json(content_type) => Self::Text(text),
            (Err(_), _) => Self::Bytes { base64: BASE64_STANDARD.encode(bytes) },
        }
    }
}

/// True for `application/json` and types with the suffix `+json`.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Returns the value on one line. Only a value with line ends changes: it loses the whitespace
/// between tokens.
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
    // Only whitespace between tokens is removed, so this is the same value.
    RawValue::from_string(line).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// Warning about an answer that contradicts the app's content type; `None` if it conforms. Parses
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

/// Serialises the envelope on one line that ends in a line feed. `content_type` is the app's.
///
/// # Errors
/// An error of the serialisation.
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

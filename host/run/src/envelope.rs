//! Answer as JSON for programs: one object with the answer, the outcome and the whole coverage
//! report. Its size is known before a byte of it is written.

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
/// Most bytes of a JSON string for each byte of its text: line ends and quotes take two, control
/// characters six.
const MAX_GROWTH: usize = 2;
/// Bytes that are encoded in base64 at once: a multiple of three, so that the pieces fit together.
const CHUNK: usize = 3 << 10;

/// Members before the answer.
#[derive(Serialize)]
struct Head<'a> {
    version: u32,
    outcome: &'a str,
    /// Reason of the failure, if the query failed.
    #[serde(flatten)]
    reason: Option<&'a Reason>,
}

/// Members after the answer.
#[derive(Serialize)]
struct Tail<'a> {
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
#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// JSON, which loses only line ends and other whitespace between tokens.
    Json(&'a str),
    /// Text that is neither JSON nor declared as JSON.
    Text(&'a str),
    /// All other bytes.
    Bytes(&'a [u8]),
}

impl<'a> Body<'a> {
    /// Classifies the bytes of an app whose answers have this content type.
    fn of(bytes: &'a [u8], content_type: &str) -> Self {
        match (serde_json::from_slice::<&RawValue>(bytes), std::str::from_utf8(bytes)) {
            (Ok(json), _) => Self::Json(json.get()),
            (Err(_), Ok(text)) if !is_json(content_type) && is_readable(text) => Self::Text(text),
            (Err(_), _) => Self::Bytes(bytes),
        }
    }

    /// Most bytes that its JSON takes.
    fn size(self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Text(text) => string_len(text),
            Self::Bytes(bytes) => "{\"base64\":\"\"}".len() + bytes.len().div_ceil(3) * 4,
        }
    }

    fn write(self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Json(json) => write_line(json, to),
            Self::Text(text) => serde_json::to_writer(&mut *to, text)?,
            Self::Bytes(bytes) => {
                to.extend_from_slice(b"{\"base64\":\"");
                bytes.chunks(CHUNK).for_each(|chunk| to.extend_from_slice(BASE64_STANDARD.encode(chunk).as_bytes()));
                to.extend_from_slice(b"\"}");
            }
        }
        Ok(())
    }
}

/// True for `application/json` and types with the suffix `+json`.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// True for a text that takes at most twice its bytes as a JSON string. Control characters would
/// take six times theirs.
fn is_readable(text: &str) -> bool {
    string_len(text) <= MAX_GROWTH * text.len() + "\"\"".len()
}

/// Bytes of a text as a JSON string.
fn string_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..=0x1f => "\\u0000".len(),
        _ => 1,
    };
    "\"\"".len() + text.bytes().map(escaped).sum::<usize>()
}

/// Writes a JSON value on one line. Only a value with line ends changes: it loses the whitespace
/// between tokens.
fn write_line(json: &str, line: &mut Vec<u8>) {
    if !json.contains(['\n', '\r']) {
        line.extend_from_slice(json.as_bytes());
        return;
    }
    let mut quoted = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if quoted || !byte.is_ascii_whitespace() {
            line.push(byte);
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
    }
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

/// JSON object on one line with an answer's bytes as its member `answer`, before it is written.
#[derive(Debug)]
pub struct Envelope<'a> {
    before: Vec<u8>,
    body: Option<Body<'a>>,
    after: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Envelope of a query's answer. `content_type` is the app's.
    ///
    /// # Errors
    /// An error of the serialisation.
    pub fn of(answer: &'a Answer, content_type: &str, laws: Laws) -> serde_json::Result<Self> {
        let body = answer.body().map(|body| Body::of(body, content_type));
        let head = Head {
            version: VERSION,
            outcome: answer.outcome(),
            reason: match answer {
                Answer::Failed { reason, .. } => Some(reason),
                Answer::Complete { .. } | Answer::Partial { .. } => None,
            },
        };
        // Only an answer that is not JSON is parsed again.
        let is_json = matches!(body, Some(Body::Json(_)));
        let warning = if is_json { None } else { warning(answer, content_type) };
        let tail = Tail { coverage: answer.coverage(), laws: laws.word(), warnings: warning.into_iter().collect() };
        let mut after = serde_json::to_vec(&tail)?;
        if let Some(brace) = after.first_mut() {
            *brace = b',';
        }
        Ok(Self { before: begun(&head)?, body, after })
    }

    /// Object with the members of `head`, then an app's bytes.
    ///
    /// # Errors
    /// An error of the serialisation.
    pub fn preview(head: &impl Serialize, bytes: &'a [u8], content_type: &str) -> serde_json::Result<Self> {
        Ok(Self { before: begun(head)?, body: Some(Body::of(bytes, content_type)), after: b"}".to_vec() })
    }

    /// Most bytes of the object.
    #[must_use]
    pub fn size(&self) -> usize {
        self.before.len() + self.body.map_or("null".len(), Body::size) + self.after.len()
    }

    /// Writes the object between two texts, in one allocation.
    ///
    /// # Errors
    /// An error of the serialisation.
    pub fn write(self, start: &str, end: &str) -> serde_json::Result<Bytes> {
        let mut all = Vec::with_capacity(start.len() + self.size() + end.len());
        all.extend_from_slice(start.as_bytes());
        all.extend_from_slice(&self.before);
        match self.body {
            Some(body) => body.write(&mut all)?,
            None => all.extend_from_slice(b"null"),
        }
        all.extend_from_slice(&self.after);
        all.extend_from_slice(end.as_bytes());
        Ok(all.into())
    }
}

/// Beginning of an object up to the value of its member `answer`.
fn begun(head: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut before = serde_json::to_vec(head)?;
    // The closing brace.
    before.pop();
    before.extend_from_slice(b",\"answer\":");
    Ok(before)
}

/// Serialises the envelope on one line that ends in a line feed. `content_type` is the app's.
///
/// # Errors
/// An error of the serialisation.
pub fn envelope(answer: &Answer, content_type: &str, laws: Laws) -> serde_json::Result<Bytes> {
    Envelope::of(answer, content_type, laws)?.write("", "\n")
}

#[cfg(test)]
mod tests;

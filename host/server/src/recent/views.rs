//! A query as clients see it.

use bytes::Bytes;
use frond_root::{Coverage, Floor, QueryId};
use serde::Serialize;
use utoipa::ToSchema;

/// Counts of a running query's partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Partitions in the plan.
    pub planned: u64,
    /// Partitions with an outcome: in the answer, or finally missing.
    pub settled: u64,
    /// Attempts that are running.
    pub running: u64,
    /// Partitions that are finally missing.
    pub missing: u64,
}

/// One query in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Summary {
    /// The query's id: 32 hexadecimal digits.
    #[schema(value_type = String)]
    pub id: QueryId,
    /// The queried app.
    pub app: String,
    /// The app's version that answers.
    pub version: u64,
    /// `running` or `ended`.
    pub state: &'static str,
    /// `complete`, `partial` or `failed`, once the query has ended.
    pub outcome: Option<&'static str>,
    /// Why the query failed, if it did.
    pub reason: Option<&'static str>,
    /// Time of the start, in Unix milliseconds.
    pub started_unix_ms: u64,
    /// Duration in milliseconds, once the query has ended.
    pub took_ms: Option<f64>,
    /// The deadline, in milliseconds from the start.
    pub deadline_ms: f64,
    /// The most leaves that run at once.
    pub slots: usize,
    /// The covered share of the weight, from 0 to 1.
    pub fraction: f64,
    /// Counts of the partitions.
    pub partitions: Counts,
    /// Number of events so far.
    pub events: u64,
}

/// A query with all of its data except the events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Detail {
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// The query's bytes.
    pub(super) query: ShownBytes,
    /// `all`, `best-effort`, or a share of the weight.
    pub(super) floor: String,
    /// Keys of partitions that the answer must cover.
    pub(super) require: Vec<String>,
    /// The account of the answer, once the query has ended.
    #[schema(value_type = Option<crate::openapi::Coverage>)]
    pub(super) coverage: Option<Box<Coverage>>,
    /// The answer, if there is one.
    pub(super) answer: Option<ShownBytes>,
    /// The media type of the answer.
    pub(super) content_type: String,
}

/// Bytes to be shown: as text if they are UTF-8, otherwise as base64.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownBytes {
    /// The bytes as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The bytes as base64, if they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The full size, in bytes.
    bytes: usize,
    /// True if only the first bytes are included.
    cut: bool,
}

impl ShownBytes {
    pub(super) fn of(kept: &Bytes, bytes: usize) -> Self {
        use base64::Engine;
        let cut = kept.len() < bytes;
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Some(text.to_owned()),
            // The last character may be cut in two.
            Err(error) if cut && error.error_len().is_none() => {
                kept.get(..error.valid_up_to()).map(|valid| String::from_utf8_lossy(valid).into_owned())
            }
            Err(_) => None,
        };
        let base64 = text.is_none().then(|| base64::prelude::BASE64_STANDARD.encode(kept));
        Self { text, base64, bytes, cut }
    }
}

/// A floor in its text form.
pub(crate) fn floor_word(floor: Floor) -> String {
    match floor {
        Floor::All => "all".to_owned(),
        Floor::BestEffort => "best-effort".to_owned(),
        Floor::AtLeast(share) => share.to_string(),
    }
}

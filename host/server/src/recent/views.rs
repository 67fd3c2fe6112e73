//! A query as clients see it.

use bytes::Bytes;
use frond_root::{Coverage, Floor, QueryId};
use serde::Serialize;
use utoipa::ToSchema;

/// Partitions, counted while a query runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// In the plan.
    pub planned: u64,
    /// Those that are in the answer, or will never be.
    pub settled: u64,
    /// Attempts under way.
    pub running: u64,
    /// Settled without a success.
    pub missing: u64,
}

/// One query in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Summary {
    /// Its id: 32 hexadecimal digits.
    #[schema(value_type = String)]
    pub id: QueryId,
    /// The app that was asked.
    pub app: String,
    /// The app's version that answers.
    pub version: u64,
    /// `running` or `ended`.
    pub state: &'static str,
    /// `complete`, `partial` or `failed`, once it has ended.
    pub outcome: Option<&'static str>,
    /// Why it failed, if it did.
    pub reason: Option<&'static str>,
    /// When it began, in Unix milliseconds.
    pub started_unix_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: Option<f64>,
    /// How long it may take, in milliseconds.
    pub deadline_ms: f64,
    /// Leaves at once.
    pub slots: usize,
    /// The share of the weight that has come, 0 to 1.
    pub fraction: f64,
    /// Its partitions.
    pub partitions: Counts,
    /// Its events so far.
    pub events: u64,
}

/// All that is known of a query, but for its events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Detail {
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// What was asked.
    pub(super) query: ShownBytes,
    /// `all`, `best-effort`, or a share of the weight.
    pub(super) floor: String,
    /// Partitions without which there is no answer.
    pub(super) require: Vec<String>,
    /// The account, once it has ended.
    #[schema(value_type = Option<crate::openapi::Coverage>)]
    pub(super) coverage: Option<Box<Coverage>>,
    /// The answer, if there is one.
    pub(super) answer: Option<ShownBytes>,
    /// The media type of the answer.
    pub(super) content_type: String,
}

/// Bytes, to be looked at: as text where they are text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownBytes {
    /// The bytes as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The bytes as base64, where they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// How many there are.
    bytes: usize,
    /// True when only the first of them are here.
    cut: bool,
}

impl ShownBytes {
    pub(super) fn of(kept: &Bytes, bytes: usize) -> Self {
        use base64::Engine;
        let cut = kept.len() < bytes;
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Some(text.to_owned()),
            // A character may have been cut in two.
            Err(error) if cut && error.error_len().is_none() => {
                kept.get(..error.valid_up_to()).map(|valid| String::from_utf8_lossy(valid).into_owned())
            }
            Err(_) => None,
        };
        let base64 = text.is_none().then(|| base64::prelude::BASE64_STANDARD.encode(kept));
        Self { text, base64, bytes, cut }
    }
}

/// A floor as it is written.
pub(crate) fn floor_word(floor: Floor) -> String {
    match floor {
        Floor::All => "all".to_owned(),
        Floor::BestEffort => "best-effort".to_owned(),
        Floor::AtLeast(share) => share.to_string(),
    }
}

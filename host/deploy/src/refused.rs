//! Refused changes of an app, stored beside the releases, so that a restart changes no decision.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::clock::unix_ms;
use super::error::{Refusal, Stage};
use super::releases::Identity;
use frond_root::Digest;

/// The most refusals stored for an app; the oldest is dropped first.
const MAX_REFUSED: usize = 10;

/// A change that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct RefusedChange {
    /// The stage that refused it.
    pub stage: Stage,
    /// Time of the refusal, in Unix milliseconds.
    pub at_unix_ms: u64,
    /// The error, where it is, and how to fix it, in several lines.
    pub error: String,
}

impl RefusedChange {
    pub(crate) fn now(refusal: &Refusal) -> Self {
        Self { stage: refusal.stage, at_unix_ms: unix_ms(), error: refusal.text.clone() }
    }
}

/// A change that a case or the canary refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rejection {
    stage: Stage,
    at_unix_ms: u64,
    error: String,
    /// Digest of the cases and listed files of the check.
    beside: Digest,
    /// Identity of the candidate.
    identity: Identity,
}

/// The refusals of one app, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefusedChanges {
    refused: Vec<Rejection>,
}

impl RefusedChanges {
    /// Records a refusal by a case or the canary. True if it was recorded.
    /// Other stages depend on the files only, so their refusals repeat without a record.
    pub(crate) fn refuse(&mut self, identity: &Identity, beside: Digest, refused: &RefusedChange) -> bool {
        if !matches!(refused.stage, Stage::Testing | Stage::Canary) {
            return false;
        }
        self.forget(identity);
        let RefusedChange { stage, at_unix_ms, error } = refused.clone();
        self.refused.push(Rejection { stage, at_unix_ms, error, beside, identity: identity.clone() });
        let over = self.refused.len().saturating_sub(MAX_REFUSED);
        self.refused.drain(..over);
        true
    }

    /// The refusal of a candidate, if it was refused with the same cases and listed files.
    pub(crate) fn refusal(&self, identity: &Identity, beside: &Digest) -> Option<RefusedChange> {
        let found = self.refused.iter().find(|one| one.identity == *identity && one.beside == *beside)?;
        Some(RefusedChange { stage: found.stage, at_unix_ms: found.at_unix_ms, error: found.error.clone() })
    }

    /// Forgets the refusal of a candidate. True if there was one.
    pub(crate) fn forget(&mut self, identity: &Identity) -> bool {
        let before = self.refused.len();
        self.refused.retain(|one| one.identity != *identity);
        self.refused.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u8) -> Identity {
        let digest = Digest::of(&[number]);
        Identity { manifest: digest, leaf: digest, merge: digest, split: None }
    }

    fn refusal(stage: Stage) -> RefusedChange {
        RefusedChange { stage, at_unix_ms: 7, error: "no\n\u{1b}[31m".to_owned() }
    }

    #[test]
    fn only_refusals_that_would_not_repeat_are_kept() {
        let mut tried = RefusedChanges::default();
        let beside = Digest::of(b"cases");
        for stage in [Stage::Validating, Stage::Compiling, Stage::Storing] {
            assert!(!tried.refuse(&identity(1), beside, &refusal(stage)));
        }
        assert!(tried.refuse(&identity(1), beside, &refusal(Stage::Canary)));
        assert_eq!(tried.refusal(&identity(1), &beside).unwrap().stage, Stage::Canary);
        assert_eq!(tried.refusal(&identity(1), &Digest::of(b"other cases")), None);
        assert_eq!(tried.refusal(&identity(2), &beside), None);
        let text = toml::to_string(&tried).unwrap();
        assert_eq!(toml::from_str::<RefusedChanges>(&text).unwrap(), tried);
        assert!(tried.forget(&identity(1)) && !tried.forget(&identity(1)));
    }

    #[test]
    fn refusals_are_bounded() {
        let mut tried = RefusedChanges::default();
        let beside = Digest::of(b"");
        for number in 0..20 {
            tried.refuse(&identity(number), beside, &refusal(Stage::Testing));
            tried.refuse(&identity(number), beside, &refusal(Stage::Testing));
        }
        assert_eq!(tried.refused.len(), MAX_REFUSED);
        assert!(tried.refusal(&identity(9), &beside).is_none() && tried.refusal(&identity(10), &beside).is_some());
    }
}

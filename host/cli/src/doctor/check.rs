//! Checks of `frond doctor`.

use serde::Serialize;

/// A check of one requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Name of the requirement.
    pub(crate) name: &'static str,
    /// True if it is installed, in a version that is new enough.
    pub(crate) ok: bool,
    /// The version or the path found; empty if nothing was found.
    pub(crate) found: String,
    /// The remedy if it is missing.
    pub(crate) remedy: String,
}

impl Check {
    pub(super) fn new(name: &'static str, ok: bool, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, ok, found: found.into(), remedy: remedy.into() }
    }
}

//! Result of inspecting one file, the common ground of the text and the JSON report.

use std::path::PathBuf;
use std::time::Duration;

use frond_root::Digest;
use frond_root::call::Limits;
use frond_sandbox::Role;
use frond_sandbox::component::Origin;
use frond_sandbox::inspect::{Misfit, Report};

/// Result of inspecting one file.
pub(super) struct InspectedFile {
    pub(super) path: PathBuf,
    pub(super) named: Vec<Role>,
    pub(super) size: u64,
    pub(super) digest: Option<Digest>,
    pub(super) report: Result<Report, Misfit>,
    pub(super) compiled: Compiled,
    /// The limits of its first role.
    pub(super) limits: Limits,
}

/// Outcome of the compilation.
pub(super) enum Compiled {
    /// `--no-compile` was given.
    NotAsked,
    /// The component fits no role, so it is not compiled.
    NoUse,
    /// Compiled and linked.
    Done { origin: Origin, took: Duration },
    /// Refused although its types fit: its roles have the reason.
    Refused,
}

impl InspectedFile {
    /// Returns true if it fits all roles that the app gives it, or any role for a bare component.
    pub(super) fn fits(&self) -> bool {
        let Ok(report) = &self.report else { return false };
        let fitting: Vec<Role> = report.fits().collect();
        if self.named.is_empty() { !fitting.is_empty() } else { self.named.iter().all(|role| fitting.contains(role)) }
    }
}

/// Splits a message into the error and its remedy, which follows in parentheses on the last line.
pub(super) fn halves(text: &str) -> (String, String) {
    match text.rsplit_once("\n(") {
        Some((text, hint)) => (text.to_owned(), hint.trim_end_matches(')').to_owned()),
        None => (text.to_owned(), String::new()),
    }
}

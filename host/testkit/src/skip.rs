//! Notice that a test is skipped because a program is missing.

use std::io::Write;

/// Reports why tests are skipped; panics on CI.
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    // Written past the test harness, which hides the output of passing tests.
    #[expect(clippy::disallowed_methods, reason = "what cannot be written is lost")]
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

//! What a call was refused. The guest gets WASI's own error and may cope; if it then ends without a result, this is why.

use std::sync::{Arc, OnceLock};

use frond_root::{Failure, FailureKind};

use crate::classify::clip;

/// The most bytes of a guest's own text, such as a host's name, within what is said about it.
const MAX_QUOTED: usize = 120;

/// The first refusal of a call. Clones share it: some are only found out by tasks of the runtime.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeniedCall(Arc<OnceLock<String>>);

impl DeniedCall {
    /// Keeps what was refused and what to do about it, unless something was refused before.
    pub(crate) fn record(&self, what: &str, remedy: &str) {
        // Only the first counts: what follows is often its consequence.
        let _ = self.0.set(format!("{what} ({remedy})"));
    }

    /// How a call that failed by itself has failed in truth.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match self.0.get() {
            Some(refused) => {
                let message = format!("{refused}; then {failure}");
                Failure { kind: FailureKind::HostCallDenied, message, ..failure }
            }
            None => failure,
        }
    }
}

/// A guest's own text, safe and short enough to stand in a message.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", clip(text.get(..end).unwrap_or_default())),
        None => clip(text),
    }
}

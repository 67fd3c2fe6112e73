//! Denied host calls. The guest gets WASI's own error and may cope; if it then ends without a
//! result, the denial is the reason.

use std::sync::{Arc, OnceLock};

use frond_root::{Failure, FailureKind};

/// First denial of a call. Clones share it, as tasks of the runtime find some denials.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeniedCall(Arc<OnceLock<String>>);

impl DeniedCall {
    /// Records what was denied and the remedy, unless an earlier denial is recorded.
    pub(crate) fn record(&self, what: &str, remedy: &str) {
        // Only the first counts: later ones are often its consequence.
        let _ = self.0.set(format!("{what} ({remedy})"));
    }

    /// Turns the failure of a call with a denial into `host-call-denied`.
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

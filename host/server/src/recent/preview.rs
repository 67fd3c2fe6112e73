//! Previews of a running query's answer: the newest is kept for the readers of its stream.

use std::time::Duration;

use bytes::Bytes;
use frond_root::Preview;
use frond_root::answer::share;
use frond_root::runner::Covered;

use super::{QueryRecord, SoFar};

/// The minimum time between two previews of an answer.
const PREVIEW: Duration = Duration::from_millis(250);
/// The most bytes of a preview; a larger one is skipped.
const MAX_PREVIEW: usize = 1 << 20;

impl Preview for QueryRecord {
    fn every(&self) -> Duration {
        PREVIEW
    }

    fn take(&self, since_start: Duration, body: Bytes, covered: Covered) {
        if body.len() > MAX_PREVIEW {
            return;
        }
        let fraction = if covered.planned == 0 { 0.0 } else { share(covered.covered, covered.planned) };
        self.state.lock().preview = Some(SoFar { at: since_start, body, fraction });
        self.changed.notify_waiters();
    }
}

//! Contents and code that one worker asks for.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::Content;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::peer::Wrong;
use super::source::LeafCodes;
use crate::frames::{self, Code, MAX_PULL, MOST_PULLED_AHEAD, Pull, Said};
use crate::outcome::failure_to_bytes;
use crate::session::FrameSender;

/// Reads of contents at once, for one worker.
const READS: usize = 16;
/// The most reads of contents that one worker may have asked for and not got: a slot has one at a
/// time, and so has a waiting leaf, beside the blocks that are read ahead.
const MOST_PULLS: usize = 16_384 + MOST_PULLED_AHEAD;
/// Codes on their way to one worker at once: each may have many megabytes.
const CODES: usize = 1;

/// Contents and code that one worker asks for. Dropping it ends what has not begun.
pub(super) struct Supplies {
    sender: FrameSender,
    engine: String,
    pulls: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    codes: Arc<Semaphore>,
    /// Leaves whose code the worker has got.
    sent: Mutex<HashSet<Bytes>>,
}

impl Drop for Supplies {
    fn drop(&mut self) {
        self.reads.close();
        self.codes.close();
    }
}

impl Supplies {
    /// Nothing was asked for yet.
    pub(super) fn new(sender: FrameSender, engine: String) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        let pulls = permits(MOST_PULLS);
        Self { sender, engine, pulls, reads: permits(READS), codes: permits(CODES), sent: Mutex::default() }
    }

    /// Reads the content of one of the worker's attempts.
    pub(super) fn pull(&self, pull: Pull, content: Arc<dyn Content>) -> Result<(), Wrong> {
        let asked = self.pulls.clone().try_acquire_owned().map_err(|_| "reads too much at once".to_owned())?;
        let Pull { pull, offset, len, .. } = pull;
        let is_within = offset.checked_add(len).is_some_and(|end| end <= content.size());
        if len > MAX_PULL || !is_within {
            return Err("reads what is not in its content".to_owned());
        }
        let reads = self.reads.clone();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let _asked = asked;
            // Closed once the worker is lost.
            let Ok(_read) = reads.acquire().await else { return };
            let len = usize::try_from(len).unwrap_or_default();
            let read = tokio::task::spawn_blocking(move || content.read(offset, len)).await;
            let (bytes, failure) = match read {
                Ok(Ok(bytes)) => (bytes, None),
                Ok(Err(failure)) => (Bytes::new(), Some(failure_to_bytes(&failure))),
                Err(_) => (Bytes::new(), Some(Bytes::new())),
            };
            // A lost worker needs it no more.
            let _ = sender.send(frames::encoded(Said::Content(frames::Content { pull, bytes, failure }))).await;
        });
        Ok(())
    }

    /// Sends the code of a leaf, or says that no query needs it any more. A worker keeps the code
    /// for as long as the session lives, so it gets it once.
    pub(super) fn code(&self, leaf: &Bytes, codes: Option<Arc<dyn LeafCodes>>) -> Result<(), Wrong> {
        let leaf = Bytes::copy_from_slice(leaf);
        let Some(codes) = codes else {
            self.sender.post(frames::encoded(Said::Code(Code { leaf, is_over: true, ..Code::default() })));
            return Ok(());
        };
        if !self.sent.lock().insert(leaf.clone()) {
            return Err("asked twice for the code of a leaf".to_owned());
        }
        let places = self.codes.clone();
        let sender = self.sender.clone();
        let engine = self.engine.clone();
        tokio::spawn(async move {
            // Closed once the worker is lost.
            let Ok(_place) = places.acquire().await else { return };
            let made = tokio::task::spawn_blocking(move || codes.code(&engine)).await;
            let code = match made.unwrap_or_else(|lost| Err(lost.to_string())) {
                Ok(code) => Code {
                    leaf,
                    settings: code.settings,
                    component: code.component,
                    compiled: code.compiled,
                    ..Code::default()
                },
                Err(why) => Code { leaf, missing: Some(why), ..Code::default() },
            };
            // A lost worker needs it no more.
            let _ = sender.send(frames::encoded(Said::Code(code))).await;
        });
        Ok(())
    }
}

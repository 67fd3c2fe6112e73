//! One app, as queries and clients read it: without locks.

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;

use crate::error::Stage;
use crate::version::Version;
use crate::view::AppView;

/// One app, as queries and clients read it.
pub(crate) struct Slot {
    pub(crate) current: ArcSwapOption<Version>,
    pub(crate) remembered: ArcSwapOption<Bytes>,
    /// The ids of all stored versions.
    pub(crate) versions: ArcSwap<Vec<String>>,
    pub(crate) view: ArcSwap<AppView>,
}

impl Slot {
    /// An app about which nothing is known yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            remembered: ArcSwapOption::empty(),
            versions: ArcSwap::default(),
            view: ArcSwap::from_pointee(AppView::new(name)),
        }
    }

    /// Logs a refused change, and whether a version keeps serving.
    pub(crate) fn log_refusal(&self, app: &str, stage: Stage, error: &str) {
        if self.current.load().is_some() {
            tracing::warn!(app, ?stage, "a change is refused, the version that served before stays: {error}");
        } else {
            tracing::warn!(app, ?stage, "the app is refused, and no version of it serves: {error}");
        }
    }
}

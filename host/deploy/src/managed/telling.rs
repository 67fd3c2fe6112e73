//! Progress and results of checks, published in the app's view.

use std::panic::{self, AssertUnwindSafe};

use crate::check::Checker;
use crate::clock::unix_ms;
use crate::error::{Refusal, Stage};
use crate::load::Load;
use crate::refused::RefusedChange;
use crate::shared::Shared;
use crate::view::{AppView, Change};

use super::ManagedApp;

impl ManagedApp {
    /// Runs part of a check. A panic in it costs the change, not the reconciler.
    pub(super) fn checked<T>(
        &self,
        shared: &Shared,
        load: &Load,
        work: impl FnOnce(&Checker<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let since_unix_ms = unix_ms();
        let tell = |stage, text| {
            if !load.is_over() {
                self.publish(Some(Change { stage, since_unix_ms, text }), shared);
            }
        };
        let checker = Checker {
            host: &shared.host,
            case_time: shared.settings.case_time,
            remembered: self.slot.remembered.load().as_deref().cloned(),
            serving: self.slot.current.load_full(),
            load,
            tell: &tell,
        };
        panic::catch_unwind(AssertUnwindSafe(|| work(&checker))).unwrap_or_else(|_| {
            let text = "the check panicked: that is a bug in Frond\n(its message is in the server's log)";
            Err(Refusal::told(Stage::Validating, text.to_owned()))
        })
    }

    /// Publishes that nothing is wrong and nothing in progress.
    pub(super) fn accept(&mut self, shared: &Shared) {
        self.refused = None;
        self.refused_look = None;
        self.publish(None, shared);
    }

    /// Restores the refusal of an overdue load, whose refusal was published earlier.
    pub(crate) fn given_up(&mut self, refused: RefusedChange, shared: &Shared) {
        self.refused = Some(refused);
        self.publish(None, shared);
    }

    pub(super) fn refuse(&mut self, refused: RefusedChange, shared: &Shared) {
        self.slot.log_refusal(&self.name, refused.stage, &refused.error);
        self.refused = Some(refused);
        self.publish(None, shared);
    }

    pub(super) fn publish(&self, change: Option<Change>, shared: &Shared) {
        let version = self.slot.current.load_full();
        let history = self.history.as_ref().ok();
        let view = AppView::of(&self.name, version.as_deref(), history, change, self.refused.clone());
        shared.publish(&self.slot, view);
    }
}

//! State that the reconciler, the loads and the callers of the registry share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

use crate::host::Host;
use crate::recalled::RecalledVersions;
use crate::settings::Settings;
use crate::slot::Slot;
use crate::view::{AppView, Health};

/// Capacity of the broadcast of changes. A reader that lags by more is told how many it missed.
const CHANGES: usize = 256;

/// State shared by the reconciler and the callers of the registry.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) host: Host,
    pub(crate) apps: ArcSwap<BTreeMap<String, Arc<Slot>>>,
    pub(crate) changes: broadcast::Sender<AppView>,
    /// Apps in the reconciler's queue, plus the loads in progress.
    pub(crate) waiting: AtomicUsize,
    pub(crate) recalled: RecalledVersions,
}

impl Shared {
    pub(crate) fn new(settings: Settings, host: Host) -> Self {
        Self {
            settings,
            host,
            apps: ArcSwap::default(),
            changes: broadcast::Sender::new(CHANGES),
            waiting: AtomicUsize::new(0),
            recalled: RecalledVersions::default(),
        }
    }

    /// Only the reconciler adds and removes apps, so no update of the map is lost.
    pub(crate) fn add(&self, name: &str) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(name));
        let mut apps = BTreeMap::clone(&self.apps.load());
        apps.insert(name.to_owned(), slot.clone());
        self.apps.store(Arc::new(apps));
        self.publish(&slot, AppView::new(name));
        slot
    }

    pub(crate) fn remove(&self, name: &str) {
        let mut apps = BTreeMap::clone(&self.apps.load());
        let gone = apps.remove(name);
        self.apps.store(Arc::new(apps));
        if let Some(slot) = gone {
            self.publish(&slot, AppView { health: Health::Gone, ..AppView::new(name) });
        }
    }

    pub(crate) fn publish(&self, slot: &Slot, view: AppView) {
        slot.view.store(Arc::new(view.clone()));
        // An error means that nobody is subscribed.
        let _ = self.changes.send(view);
    }
}

//! Old versions in use: loaded once, shared by all who ask for them, dropped with the last of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use frond_root::sync::lock;

use super::error::RecallError;
use super::version::Version;

/// Versions in use, by app and id. Each has a separate lock, so that loads do not wait for each
/// other.
#[derive(Default)]
pub(crate) struct RecalledVersions(Mutex<HashMap<(String, String), One>>);

/// One version, locked while it is loaded.
type One = Arc<Mutex<Weak<Version>>>;

impl RecalledVersions {
    /// Returns the version of `app` with this id, loading it if it is not in use. Blocks while it
    /// loads.
    pub(crate) fn get(
        &self,
        app: &str,
        id: &str,
        load: impl FnOnce() -> Result<Version, RecallError>,
    ) -> Result<Arc<Version>, RecallError> {
        let mut all = lock(&self.0);
        // An entry that is being loaded has a second owner.
        let is_used =
            |one: &One| Arc::strong_count(one) > 1 || one.try_lock().is_ok_and(|version| version.strong_count() > 0);
        all.retain(|_, one| is_used(one));
        let one = all.entry((app.to_owned(), id.to_owned())).or_default().clone();
        drop(all);
        let mut recalled = lock(&one);
        if let Some(version) = recalled.upgrade() {
            return Ok(version);
        }
        let version = Arc::new(load()?);
        *recalled = Arc::downgrade(&version);
        Ok(version)
    }
}

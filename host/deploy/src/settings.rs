//! Settings of the apps: limits, folders, and how changes are noticed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::state_location::StateLocation;

/// Limits and folders of the apps.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest component that is accepted, in bytes.
    pub component_bytes: u64,
    /// Time limit of all cases of an app together, when it changes.
    pub case_time: Duration,
    /// Time limit of one load of an app, checks included.
    pub load_time: Duration,
    /// The number of versions stored for each app, at least 1.
    pub history: usize,
    /// The state folder, with uploaded components and the versions of apps.
    pub state: PathBuf,
    /// A temporary state folder, removed with the server.
    pub lent: Option<Arc<TempDir>>,
    /// How changes of files are noticed.
    pub watch: Watching,
    /// How long a change of some components waits for the app's other components to change, too.
    pub together: Duration,
}

/// Way in which changes of files are noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watching {
    /// Not at all: only [`Registry::reload`](crate::Registry::reload) applies changes.
    Off,
    /// By notifications of the system, plus polling on file systems that others can change.
    Told,
    /// By polling, every few seconds.
    Polled,
}

impl Settings {
    /// The defaults for apps in `dir`, with their state in the folder `state`.
    /// Without one, a folder is chosen; a warning is logged if it is not the usual one.
    #[must_use]
    pub fn with_state(dir: &Path, state: Option<&Path>) -> Self {
        let place = match state {
            Some(named) => StateLocation { dir: named.to_path_buf(), warning: None, lent: None },
            None => StateLocation::of(dir),
        };
        if let Some(warning) = place.warning {
            tracing::warn!("{warning}");
        }
        Self { state: place.dir, lent: place.lent, ..Self::new(dir) }
    }

    /// The defaults for apps in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            component_bytes: 64 << 20,
            case_time: Duration::from_secs(30),
            load_time: Duration::from_secs(300),
            history: 10,
            state: dir.join(".frond"),
            lent: None,
            watch: Watching::Told,
            together: Duration::from_secs(3),
        }
    }
}

//! Versions that no longer serve, for work that began with them: as long as they are kept.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Shared;
use super::candidate::Candidate;
use super::check::Checker;
use super::error::RecallError;
use super::ledger::Entry;
use super::state::Shelf;
use super::version::{Version, VersionView};

/// Those that are at work.
#[derive(Default)]
pub(super) struct Recalled(Mutex<Vec<Weak<Version>>>);

/// Brings back the version of `app` with this id. Whoever asks for the same one while it is at work shares it. It is not
/// tried again: it was when it first served. Blocks while it is loaded, and while another is.
pub(super) fn recall(shared: &Shared, app: &str, dir: &Path, id: &str) -> Result<Arc<Version>, RecallError> {
    let mut recalled = shared.recalled.0.lock().unwrap_or_else(PoisonError::into_inner);
    recalled.retain(|version| version.strong_count() > 0);
    let is_same = |version: &Arc<Version>| version.wired.app.name == app && version.id() == id;
    if let Some(version) = recalled.iter().filter_map(Weak::upgrade).find(is_same) {
        return Ok(version);
    }
    let shelf = Shelf::at(&shared.settings.state);
    let ledger = shelf.ledger(app).map_err(RecallError::Unread)?;
    let entry = ledger.as_ref().and_then(|ledger| ledger.versions().find(|one| one.identity().id() == id));
    let entry = entry.ok_or_else(|| RecallError::NotKept { app: app.to_owned(), history: shared.settings.history })?;
    let version = Arc::new(load(shared, app, dir, entry, &shelf)?);
    recalled.push(Arc::downgrade(&version));
    Ok(version)
}

fn load(shared: &Shared, app: &str, dir: &Path, entry: &Entry, shelf: &Shelf) -> Result<Version, RecallError> {
    let checker = Checker {
        host: &shared.host,
        case_time: shared.settings.case_time,
        remembered: None,
        inbox: &shared.inbox,
        tell: &|_, _| {},
    };
    let refused = |why: super::error::Refusal| RecallError::Refused { number: entry.number, why: why.text };
    let candidate = Candidate::kept(app, dir, entry, shelf).map_err(refused)?;
    let loaded = checker.load(&candidate).map_err(refused)?;
    Ok(Version {
        number: entry.number,
        wired: loaded.wired,
        view: VersionView::from(entry),
        warnings: loaded.warnings,
        examples: loaded.examples,
        identity: entry.identity(),
    })
}

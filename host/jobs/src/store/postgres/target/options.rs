//! Options of an address, and what its files share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::location::Environment;

/// Options by their libpq names.
pub(super) type Options = BTreeMap<String, String>;

/// Makes the error of a wrong setting.
pub(super) fn refused(text: String) -> StoreError {
    StoreError::Settings(text)
}

/// Path of a file in the user's home folder.
pub(super) fn home(environment: Environment<'_>, name: &str) -> Option<PathBuf> {
    environment("HOME").map(|home| Path::new(&home).join(name))
}

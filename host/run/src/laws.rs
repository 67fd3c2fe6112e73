//! Results of law checks, stored beside the compiled code under the digests of the checked
//! components.

use std::fs;
use std::io;
use std::path::PathBuf;

use frond_root::MergeOrder;
use frond_root::call::InstanceMode;

use crate::cache::cache_dir;
use crate::load::Components;

/// State of an app's laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laws {
    /// The laws were checked for exactly these components, and hold.
    Hold,
    /// The laws were checked, and one does not hold: answers may depend on the order in which
    /// leaves end.
    Broken,
    /// The laws have not been checked.
    Unchecked,
}

impl Laws {
    /// Spelling in envelopes and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Broken => "broken",
            Self::Unchecked => "unchecked",
        }
    }
}

/// Key of a check: the digests of leaf and merge, the order in which partials are folded, and the
/// lifetime of the leaf's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Components {
    /// Key of these components; `None` without a merge.
    #[must_use]
    pub fn laws_key(&self, order: MergeOrder, instance: InstanceMode) -> Option<Key> {
        let leaf = self.leaf.as_ref().map_or_else(|| "none".to_owned(), |leaf| format!("{:.32}", leaf.plugin.digest()));
        let merge = self.merge.as_ref()?.plugin().digest();
        let order = match order {
            MergeOrder::Any => "any",
            MergeOrder::Partition => "ordered",
        };
        // Fresh instances have no word, so that earlier results keep their keys.
        let instance = match instance {
            InstanceMode::Fresh => "",
            InstanceMode::Query => "-query",
        };
        Some(Key(format!("{leaf}-{merge:.32}-{order}{instance}")))
    }
}

fn path(key: &Key) -> Option<PathBuf> {
    Some(cache_dir()?.join("laws").join(&key.0))
}

/// Stores the result of a check. Does nothing without a cache folder.
///
/// # Errors
/// An error of creating the folder or writing the file.
pub fn keep(key: &Key, laws: Laws) -> io::Result<()> {
    let Some(path) = path(key) else { return Ok(()) };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, if laws == Laws::Hold { "hold" } else { "broken" })
}

/// Result of the last check.
#[must_use]
pub fn known(key: &Key) -> Laws {
    match path(key).and_then(|path| frond_files::read(&path, 16).ok()).as_deref() {
        Some(b"hold") => Laws::Hold,
        Some(b"broken") => Laws::Broken,
        _ => Laws::Unchecked,
    }
}

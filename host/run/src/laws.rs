//! Whether an app's laws have been checked: kept beside the compiled code, by what they were checked for.

use std::fs;
use std::io;
use std::path::PathBuf;

use frond_root::MergeOrder;

use crate::load::{Components, cache_dir};

/// What is known of an app's laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laws {
    /// They were checked for these very components, and hold.
    Hold,
    /// They were checked, and one does not hold: answers may depend on the order in which leaves end.
    Broken,
    /// Nobody has checked them.
    Unchecked,
}

impl Laws {
    /// The same as a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Broken => "broken",
            Self::Unchecked => "unchecked",
        }
    }
}

/// What laws are checked for: a leaf and a merge by their digests, and the order in which partials are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Components {
    /// The key of these components; `None` without a merge.
    #[must_use]
    pub fn laws_key(&self, order: MergeOrder) -> Option<Key> {
        let short = |digest: String| digest.get(..32).unwrap_or_default().to_owned();
        let leaf = self.leaf.as_ref().map_or_else(|| "none".to_owned(), |leaf| short(leaf.plugin.digest()));
        let merge = short(self.merge.as_ref()?.plugin().digest());
        let order = match order {
            MergeOrder::Any => "any",
            MergeOrder::Partition => "ordered",
        };
        Some(Key(format!("{leaf}-{merge}-{order}")))
    }
}

fn path(key: &Key) -> Option<PathBuf> {
    Some(cache_dir()?.join("laws").join(&key.0))
}

/// Keeps what was found. Without a cache folder nothing is kept.
///
/// # Errors
/// When it cannot be written.
pub fn keep(key: &Key, laws: Laws) -> io::Result<()> {
    let Some(path) = path(key) else { return Ok(()) };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, if laws == Laws::Hold { "hold" } else { "broken" })
}

/// What was found when they were last checked.
#[must_use]
pub fn known(key: &Key) -> Laws {
    match path(key).and_then(|path| frond_files::read(&path, 16).ok()).as_deref() {
        Some(b"hold") => Laws::Hold,
        Some(b"broken") => Laws::Broken,
        _ => Laws::Unchecked,
    }
}

//! From globs to files: sorted by path, each once.
//!
//! A glob's `*` and `?` stay within one path component, `**` crosses them, `[…]` and `{…,…}` choose. As in a shell,
//! they do not match a leading dot: hidden files and folders (`.git`) are left out unless a component of the glob itself
//! begins with a dot. Links to files are followed, links to folders are not, so that no cycle can occur. What exists
//! under the very name that was given is taken as it is: a file, or a folder with all that is below it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::error::{AppError, Origin};

#[cfg(test)]
mod tests;

/// A file that a glob led to.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Found {
    /// Its path as the glob leads to it.
    name: PathBuf,
    /// Its path from the current folder.
    pub(super) path: PathBuf,
}

impl Found {
    /// Its name as text. Bytes that are not UTF-8 are written `\xNN`, so that different names stay different.
    pub(super) fn key(&self) -> String {
        if let Some(name) = self.name.to_str() {
            return name.to_owned();
        }
        let mut key = String::new();
        for chunk in self.name.as_os_str().as_encoded_bytes().utf8_chunks() {
            key.push_str(&chunk.valid().replace('\\', "\\\\"));
            for byte in chunk.invalid() {
                key.push_str(&format!("\\x{byte:02X}"));
            }
        }
        key
    }
}

/// The files that `globs` name in the folder `base`.
///
/// # Errors
/// A glob that is none, that nothing matches, or a folder that cannot be read.
pub(super) fn expand(base: &Path, globs: &[impl AsRef<str>], origin: &Origin) -> Result<Vec<Found>, AppError> {
    let mut found = Vec::new();
    for glob in globs {
        let before = found.len();
        Search::new(base, glob.as_ref(), origin)?.run(&mut found, origin)?;
        if found.len() == before {
            return Err(nothing(base, glob.as_ref(), origin));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn nothing(base: &Path, glob: &str, origin: &Origin) -> AppError {
    let folder = match base.to_str() {
        Some("." | "") => "the current folder".to_owned(),
        _ => format!("`{}`", base.display()),
    };
    let whose = match origin {
        Origin::Written(_) => "the app's folder",
        Origin::Caller => "the current folder",
    };
    let hint = format!("paths start from {whose}; `*` matches neither a `/` nor a leading dot, `**` matches folders");
    origin.refuse(format!("no file matches `{glob}` in {folder}"), hint)
}

/// One glob, taken apart.
struct Search {
    /// The leading components without wildcards.
    fixed: PathBuf,
    /// Where they lead to from the current folder.
    start: PathBuf,
    what: What,
}

enum What {
    /// The start itself.
    File,
    /// Every file below the start.
    Below,
    /// What matches below the start.
    Glob {
        matcher: GlobMatcher,
        /// The components that name hidden entries.
        dotted: Vec<GlobMatcher>,
        /// How many components a match has, where that is certain.
        depth: Option<usize>,
    },
}

impl Search {
    fn new(base: &Path, glob: &str, origin: &Origin) -> Result<Self, AppError> {
        let components = Path::new(glob).components().filter(|one| *one != Component::CurDir);
        let clean: PathBuf = components.collect();
        let path = at(base, &clean);
        if fs::symlink_metadata(&path).is_ok() {
            let what = if path.is_dir() { What::Below } else { What::File };
            return Ok(Self { fixed: clean, start: path, what });
        }
        let fixed: PathBuf = clean.components().take_while(|one| !is_wild(one)).collect();
        let rest = clean.strip_prefix(&fixed).unwrap_or(&clean);
        let compiled = |pattern: &str| {
            GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|error| origin.refuse(format!("`{glob}` is not a glob: {}", error.kind()), ""))
        };
        // It came from a `str`, so it is one.
        let rest = rest.to_str().unwrap_or_default();
        let dotted = rest.split('/').filter(|one| one.starts_with('.'));
        let certain = !rest.contains("**") && !rest.contains('{');
        Ok(Self {
            start: at(base, &fixed),
            what: What::Glob {
                matcher: compiled(rest)?,
                dotted: dotted.map(compiled).collect::<Result<_, _>>()?,
                depth: certain.then(|| rest.split('/').count()),
            },
            fixed,
        })
    }

    fn run(self, found: &mut Vec<Found>, origin: &Origin) -> Result<(), AppError> {
        let depth = match &self.what {
            What::File => {
                found.push(Found { name: self.fixed, path: self.start });
                return Ok(());
            }
            What::Below => None,
            What::Glob { depth, .. } => *depth,
        };
        let walk = WalkDir::new(&self.start)
            .min_depth(1)
            .max_depth(depth.unwrap_or(usize::MAX))
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || !self.hides(entry));
        for entry in walk {
            match entry {
                Ok(entry) => found.extend(self.matched(entry)),
                Err(error) if error.depth() == 0 && is_missing(&error) => return Ok(()),
                Err(error) => {
                    let path = error.path().unwrap_or(&self.start).display();
                    let text = format!("cannot read the folder `{path}`");
                    return Err(origin.failed(text, "", error.into()));
                }
            }
        }
        Ok(())
    }

    fn hides(&self, entry: &DirEntry) -> bool {
        let name = Path::new(entry.file_name());
        let asked = match &self.what {
            What::Glob { dotted, .. } => dotted.iter().any(|one| one.is_match(name)),
            What::File | What::Below => false,
        };
        entry.file_name().as_encoded_bytes().starts_with(b".") && !asked
    }

    fn matched(&self, entry: DirEntry) -> Option<Found> {
        let below = entry.path().strip_prefix(&self.start).ok()?;
        let matches = match &self.what {
            What::Glob { matcher, .. } => matcher.is_match(below),
            What::File | What::Below => true,
        };
        let kind = entry.file_type();
        let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        (matches && !is_folder).then(|| Found { name: self.fixed.join(below), path: at_current(entry.path()) })
    }
}

/// `name` in the folder `base`; never empty, so that it can be opened.
fn at(base: &Path, name: &Path) -> PathBuf {
    let path = if base == Path::new(".") { name.to_path_buf() } else { base.join(name) };
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

/// The path without a leading `./`, as people write it.
fn at_current(path: &Path) -> PathBuf {
    path.strip_prefix("./").unwrap_or(path).to_path_buf()
}

fn is_wild(component: &Component<'_>) -> bool {
    let text = component.as_os_str().as_encoded_bytes();
    text.iter().any(|byte| b"*?[]{}\\".contains(byte))
}

fn is_missing(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

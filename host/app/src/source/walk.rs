//! Expands globs to files: sorted by path, without duplicates.
//!
//! In a glob, `*` and `?` stay within one path component, `**` crosses components, `[…]` and
//! `{…,…}` choose. As in a shell, wildcards do not match a leading dot: hidden files and folders
//! (`.git`) are left out unless a component of the glob itself begins with a dot. Links to files
//! are followed. Links to folders are followed where a component of the glob matches their name,
//! but neither by `**` nor below a named folder, so that no cycle can occur; a note lists the links
//! left out. A name that exists literally is taken literally: a file, or a folder with everything
//! below it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use frond_root::plan::MAX_PARTITIONS;
use frond_root::quote::clipped;
use frond_root::{CancellationToken, Notes};
use walkdir::{DirEntry, WalkDir};

use super::glob::Glob;
use super::pattern::Pattern;
use crate::error::{AppError, Origin};
use crate::paths::under;

#[cfg(test)]
mod tests;

/// Note on links to folders that were not followed.
const LEFT_OUT: &str = "left out: a link to a folder, which `**` does not follow (name the link to include its files)";
/// Note on links that form a cycle.
const LOOP: &str = "left out: a link to a folder that contains the link";

/// A file that a glob matched, or a folder that could not be read.
#[derive(Debug)]
pub(super) struct FoundFile {
    /// Path of the file as the glob leads to it.
    pub(super) name: PathBuf,
    /// True if its folder lists it as a regular file.
    pub(super) is_regular: bool,
    /// True if a link leads to it, so that it may also be present under another name.
    pub(super) is_linked: bool,
    /// Error of a folder that could not be read.
    pub(super) unread: Option<io::Error>,
}

impl FoundFile {
    /// Returns the path as text. Bytes that are not UTF-8 are written `\xNN`, so that different
    /// names stay different.
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

/// Settings of a search for files.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Folder that the globs are relative to.
    pub(super) base: &'a Path,
    /// Author of the globs: the app or the command line.
    pub(super) origin: &'a Origin,
    /// Collects notes.
    pub(super) notes: &'a Notes,
    /// Cancels the search.
    pub(super) cancel: &'a CancellationToken,
}

impl Scope<'_> {
    /// Returns an error once the search is cancelled.
    ///
    /// # Errors
    /// When the query has ended.
    pub(super) fn check(&self) -> Result<(), AppError> {
        if self.cancel.is_cancelled() {
            return Err(Origin::Caller.refuse("the query ended while its files were being looked for", ""));
        }
        Ok(())
    }
}

/// Returns the files that `globs` name.
///
/// # Errors
/// A glob that matches nothing or too much; a named folder that cannot be read; a cancelled search.
pub(super) fn expand(globs: &[Glob], scope: Scope<'_>) -> Result<Vec<FoundFile>, AppError> {
    let mut found = Vec::new();
    for glob in globs {
        scope.check()?;
        let before = found.len();
        Search::new(scope, glob, globs.len() > 1).run(&mut found)?;
        if found.len() == before {
            return Err(nothing(scope, glob.as_str()));
        }
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    found.dedup_by(|one, other| one.name == other.name);
    Ok(found)
}

fn nothing(scope: Scope<'_>, glob: &str) -> AppError {
    let Scope { base, origin, .. } = scope;
    let folder = match base.to_str() {
        Some("." | "") => "the current folder".to_owned(),
        _ => format!("`{}`", base.display()),
    };
    let whose = match origin {
        Origin::Written(_) => "the app's folder",
        Origin::Caller => "the current folder",
    };
    let hint = if glob == "~" || glob.starts_with("~/") {
        "`~` is the home folder only to a shell, and only outside quotes: write its whole path".to_owned()
    } else {
        format!("paths start from {whose}; `*` matches neither a `/` nor a leading dot, `**` matches folders")
    };
    origin.refuse(format!("no file matches `{}` in {folder}", clipped(glob)), hint)
}

/// Search for the files of one glob.
struct Search<'a> {
    scope: Scope<'a>,
    glob: &'a Glob,
    /// Leading components without wildcards.
    fixed: PathBuf,
    /// Path of these components, usable from the current folder.
    start: PathBuf,
    /// True if the start may also be reachable under another name.
    is_linked: bool,
    what: What,
}

/// Files that one input of a walk stands for.
enum What {
    /// The start itself.
    File,
    /// Every file below the start.
    Below,
    /// Every match below the start.
    Glob(Pattern),
    /// A name that does not exist.
    Nothing,
}

impl<'a> Search<'a> {
    fn new(scope: Scope<'a>, glob: &'a Glob, among_others: bool) -> Self {
        let path = under(scope.base, &glob.clean);
        let named = fs::symlink_metadata(&path).ok();
        let (fixed, start, what) = match (&named, &glob.pattern) {
            (Some(_), _) if path.is_dir() => (&glob.clean, path, What::Below),
            (Some(_), _) => (&glob.clean, path, What::File),
            // A clone, so that the memory for matching ends with the search.
            (None, Some(pattern)) => (&glob.fixed, under(scope.base, &glob.fixed), What::Glob(pattern.clone())),
            (None, None) => (&glob.clean, path, What::Nothing),
        };
        let is_link = named.is_some_and(|found| found.is_symlink());
        let is_linked = is_link || (among_others && has_other_name(scope.base, fixed));
        Self { scope, glob, fixed: fixed.clone(), start, is_linked, what }
    }

    fn run(&self, found: &mut Vec<FoundFile>) -> Result<(), AppError> {
        let depth = match &self.what {
            What::File => {
                found.push(self.found(self.fixed.clone(), false, self.is_linked));
                return Ok(());
            }
            What::Below => None,
            What::Glob(pattern) => pattern.depth(),
            What::Nothing => Some(0),
        };
        let links = Links::default();
        let entries = WalkDir::new(&self.start)
            .min_depth(1)
            .max_depth(depth.unwrap_or(usize::MAX))
            .follow_links(true)
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || self.enters(entry, &links));
        for entry in entries {
            self.scope.check()?;
            match entry {
                Ok(entry) => found.extend(self.matched(&entry, &links)),
                Err(error) if error.depth() == 0 && is_missing(&error) => return Ok(()),
                Err(error) => found.extend(self.unread(error)?),
            }
            if found.len() > MAX_PARTITIONS {
                let text = format!("more than {MAX_PARTITIONS} files match `{}`", clipped(self.glob.as_str()));
                return Err(self
                    .scope
                    .origin
                    .refuse(text, "a query has at most that many partitions: name fewer files"));
            }
        }
        let left_out = links.left_out.into_inner();
        left_out.iter().for_each(|name| self.scope.notes.add(LEFT_OUT, &name.to_string_lossy()));
        Ok(())
    }

    fn found(&self, name: PathBuf, is_regular: bool, is_linked: bool) -> FoundFile {
        FoundFile { name, is_regular, is_linked: is_linked || self.is_linked, unread: None }
    }

    /// False if the entry is hidden, or is a folder that holds no match or must not be followed.
    fn enters(&self, entry: &DirEntry, links: &Links) -> bool {
        links.leave(entry.depth());
        let name = Path::new(entry.file_name());
        if self.hides(name) {
            return false;
        }
        if !entry.file_type().is_dir() {
            return true;
        }
        match self.leads_through(entry.path(), entry.depth()) {
            Some(false) => return false,
            None if entry.path_is_symlink() => {
                links.left_out.borrow_mut().extend(self.name(entry.path()));
                return false;
            }
            Some(true) | None => {}
        }
        if entry.path_is_symlink() {
            links.enter(entry.depth());
        }
        true
    }

    /// Like [`Pattern::leads_through`], for an entry of the walk.
    fn leads_through(&self, path: &Path, depth: usize) -> Option<bool> {
        match (&self.what, path.file_name()) {
            (What::Glob(pattern), Some(name)) => pattern.leads_through(Path::new(name), depth),
            _ => None,
        }
    }

    fn hides(&self, name: &Path) -> bool {
        let is_named = match &self.what {
            What::Glob(pattern) => pattern.asks_for(name),
            What::File | What::Below | What::Nothing => false,
        };
        name.as_os_str().as_encoded_bytes().starts_with(b".") && !is_named
    }

    fn is_match(&self, path: &Path) -> bool {
        match (&self.what, path.strip_prefix(&self.start)) {
            (What::Glob(pattern), Ok(below)) => pattern.is_match(below),
            (What::File | What::Below, Ok(_)) => true,
            (What::Nothing, _) | (_, Err(_)) => false,
        }
    }

    /// Path of an entry as the glob leads to it.
    fn name(&self, path: &Path) -> Option<PathBuf> {
        Some(self.fixed.join(path.strip_prefix(&self.start).ok()?))
    }

    fn matched(&self, entry: &DirEntry, links: &Links) -> Option<FoundFile> {
        let kind = entry.file_type();
        if kind.is_dir() || !self.is_match(entry.path()) {
            return None;
        }
        let is_link = entry.path_is_symlink();
        let is_linked = is_link || links.is_below(entry.depth());
        // The type is that of the link's target, which may have changed since.
        Some(self.found(self.name(entry.path())?, kind.is_file() && !is_link, is_linked))
    }

    /// Handles an entry that could not be read: a dangling link, a cycle, or a folder without
    /// permission.
    fn unread(&self, error: walkdir::Error) -> Result<Option<FoundFile>, AppError> {
        let path = error.path().unwrap_or(&self.start).to_path_buf();
        let depth = error.depth();
        let is_loop = error.loop_ancestor().is_some();
        let Some(name) = self.name(&path).filter(|_| depth > 0) else {
            let text = format!("cannot read the folder `{}`", path.display());
            return Err(self.scope.origin.failed(text, "", error.into()));
        };
        if path.file_name().is_some_and(|name| self.hides(Path::new(name))) {
            return Ok(None);
        }
        if is_loop {
            if self.leads_through(&path, depth) != Some(false) {
                self.scope.notes.add(LOOP, &name.to_string_lossy());
            }
            return Ok(None);
        }
        let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if is_link {
            return Ok(self.is_match(&path).then(|| self.found(name, false, true)));
        }
        Ok(Some(FoundFile { unread: Some(error.into()), ..self.found(name, false, false) }))
    }
}

/// Links to folders that a walk met.
#[derive(Default)]
struct Links {
    /// Depth of the outermost followed link, if the walk is below one.
    followed: Cell<Option<usize>>,
    left_out: RefCell<Vec<PathBuf>>,
}

impl Links {
    fn enter(&self, depth: usize) {
        self.followed.set(Some(self.followed.get().unwrap_or(depth)));
    }

    fn leave(&self, depth: usize) {
        self.followed.set(self.followed.get().filter(|link| depth > *link));
    }

    fn is_below(&self, depth: usize) -> bool {
        self.followed.get().is_some_and(|link| depth > link)
    }
}

/// True if another glob may reach `name` by another path: through a link, or as an absolute path.
fn has_other_name(base: &Path, name: &Path) -> bool {
    let straight = fs::canonicalize(base).map(|base| base.join(name));
    let real = fs::canonicalize(under(base, name));
    name.is_absolute() || straight.ok() != real.ok()
}

fn is_missing(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

//! Reads `frond.toml` and resolves it to a package: the header, the components and the query's
//! defaults. Defaults are filled in, and contradictions refused.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use frond_root::call::{Grants, Isolation};
use frond_root::quote::clipped;
use frond_root::{Floor, PartitionKey};
use serde_spanned::Spanned;

use crate::app::{App, DEFAULT_CONTENT_TYPE, DEFAULT_DEADLINE, DEFAULT_MAX_DEADLINE};
use crate::component::Component;
use crate::error::AppError;
use crate::manifest::{IsolationKey, Kind, LeafTable, MAX_ENTRIES, Manifest, MergeTable, QueryTable, Share, Text};
use crate::package::Package;
use crate::paths::under;

mod grants;
mod retry;
mod source;

#[cfg(test)]
pub(crate) use grants::DEFAULT_BODY;

#[cfg(test)]
mod tests;

/// Largest `frond.toml`, in bytes. Parsing one takes about a hundred times its size.
pub const MAX_MANIFEST: u64 = 1 << 20;
/// Longest name of an app, in bytes: names appear in progress lines and metrics.
const MAX_NAME: usize = 100;

impl App {
    /// Reads an app from its folder, or from the path of its `frond.toml`. Its components and data
    /// may be missing.
    ///
    /// # Errors
    /// [`AppError`] with the line, the key and the remedy, when there is no app or its `frond.toml`
    /// is wrong.
    pub fn load(dir: &Path) -> Result<Self, AppError> {
        Package::load(dir)?.app()
    }
}

impl Package {
    /// Reads a package from its folder, or from the path of its `frond.toml`. Its components and
    /// data may be missing.
    ///
    /// # Errors
    /// [`AppError`] with the line, the key and the remedy, when there is no `frond.toml` or it is
    /// wrong.
    pub fn load(dir: &Path) -> Result<Self, AppError> {
        let file = if dir.is_dir() { under(dir, "frond.toml") } else { dir.to_path_buf() };
        let no_app = |why, cause| AppError::NoApp { path: dir.to_path_buf(), why, cause };
        if !file.is_file() {
            let folder = dir.is_dir();
            let why = if folder { "the folder has no frond.toml" } else { "there is no such file or folder" };
            return Err(no_app(why, None));
        }
        let bytes = frond_files::read(&file, MAX_MANIFEST);
        let bytes = bytes.map_err(|cause| no_app("its frond.toml cannot be read", Some(cause)))?;
        Self::read(&file, bytes)
    }

    /// Parses the text of a `frond.toml` that was read from `file`. Paths in the text are relative
    /// to the folder of `file`.
    ///
    /// # Errors
    /// [`AppError`] with the line, the key and the remedy, when the text is wrong.
    pub fn read(file: &Path, text: Vec<u8>) -> Result<Self, AppError> {
        let text = Text::new(Arc::from(file), text)?;
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        resolve(dir, &text)
    }
}

/// Resolves the package in the folder `dir`.
///
/// # Errors
/// The first problem, with its place.
fn resolve(dir: &Path, text: &Text) -> Result<Package, AppError> {
    let manifest: Manifest = text.parse()?;
    let limits = manifest.limits.resolve(text)?;
    let (own, leaf) = manifest.leaf.map(LeafTable::split).unzip();
    let (instance, isolation) = own.unwrap_or_default();
    let (order, merge) = manifest.merge.map(MergeTable::split).unzip();
    let component = |role, table| Component::resolve(text, role, dir, table);
    let leaf = leaf.as_ref().map(|table| component("leaf", table)).transpose()?;
    let merge = merge.as_ref().map(|table| component("merge", table)).transpose()?;
    let split = manifest.split.as_ref();
    if let Some(source) = &manifest.source {
        agree_on_split(text, &source.kind, split.map(Spanned::span))?;
    }
    let (deadline, max_deadline) = deadlines(text, &manifest.query)?;
    let grants = grants::resolve(text, dir, manifest.grants)?;
    let source = manifest.source.map(|table| source::resolve(text, dir, table, limits.leaf.partition));
    Ok(Package {
        dir: dir.to_path_buf(),
        name: name(text, dir, manifest.name)?,
        content_type: content_type(text, manifest.content_type)?,
        leaf,
        merge,
        split: split.map(|table| component("split", table.get_ref())).transpose()?,
        instance,
        isolation: isolation_of(text, isolation, &grants)?,
        order: order.unwrap_or_default(),
        source: source.transpose()?,
        deadline,
        max_deadline,
        floor: floor(text, manifest.query.floor)?,
        required: required(text, manifest.query.require)?,
        grants,
        limits,
        retry: retry::resolve(text, &manifest.retry)?,
    })
}

fn required(text: &Text, keys: Vec<Spanned<String>>) -> Result<Vec<PartitionKey>, AppError> {
    text.few_enough("query.require", keys.get(MAX_ENTRIES).map(|key| key.span().start), MAX_ENTRIES, "")?;
    Ok(keys.into_iter().map(|key| PartitionKey::from(key.into_inner())).collect())
}

/// Returns where leaves run. A worker process has nothing of the machine that it could grant.
fn isolation_of(text: &Text, key: Option<Spanned<IsolationKey>>, grants: &Grants) -> Result<Isolation, AppError> {
    let Some(key) = key else { return Ok(Isolation::default()) };
    let isolation = key.get_ref().0;
    if isolation == Isolation::Thread || Grants::default().cover(grants) {
        return Ok(isolation);
    }
    Err(text.refuse(
        key.span().start,
        "leaf.isolation",
        "a worker process has no files, no variables and no network, so that [grants] would have no effect",
        "leave out the directories, env and http of [grants], or leaf.isolation",
    ))
}

fn agree_on_split(text: &Text, kind: &Spanned<Kind>, section: Option<std::ops::Range<usize>>) -> Result<(), AppError> {
    match (*kind.get_ref(), section) {
        (Kind::Split, None) => Err(text.refuse(
            kind.span().start,
            "source.kind",
            "\"split\" needs a component that splits",
            "add a [split] section with its `component`",
        )),
        (Kind::Split, Some(_)) | (_, None) => Ok(()),
        (kind, Some(section)) => Err(text.refuse(
            section.start,
            "split",
            format!("a source of the kind \"{}\" runs no split component", kind.name()),
            "remove the section, or set source.kind = \"split\"",
        )),
    }
}

fn name(text: &Text, dir: &Path, written: Option<Spanned<String>>) -> Result<String, AppError> {
    let Some(name) = written else {
        let folder = dir.canonicalize().ok();
        let folder = folder.as_deref().and_then(Path::file_name);
        return Ok(folder.map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned()));
    };
    let wrong = if name.get_ref().trim().is_empty() {
        "the name is empty".to_owned()
    } else if name.get_ref().len() > MAX_NAME {
        format!("the name is longer than {MAX_NAME} bytes")
    } else if name.get_ref().contains(char::is_control) {
        "the name has control characters in it".to_owned()
    } else {
        return Ok(name.into_inner());
    };
    Err(text.refuse(name.span().start, "name", wrong, "leave the key out to use the folder's name"))
}

fn content_type(text: &Text, written: Option<Spanned<String>>) -> Result<String, AppError> {
    let Some(written) = written else {
        return Ok(DEFAULT_CONTENT_TYPE.to_owned());
    };
    let visible = |c: char| c == ' ' || c.is_ascii_graphic();
    let halves = written.get_ref().split_once('/');
    let is_type = halves.is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if is_type && written.get_ref().chars().all(visible) {
        return Ok(written.into_inner());
    }
    let wrong = format!("`{}` is not a media type", clipped(written.get_ref()).escape_debug());
    Err(text.refuse(written.span().start, "content-type", wrong, "such as application/json or text/plain"))
}

/// Returns the default deadline of a query, and the longest one that a query may ask for.
fn deadlines(text: &Text, query: &QueryTable) -> Result<(Duration, Duration), AppError> {
    let deadline = deadline(text, query)?;
    match &query.max_deadline {
        None => Ok((deadline, deadline.max(DEFAULT_MAX_DEADLINE))),
        Some(written) if written.get_ref().0 < deadline => Err(text.refuse(
            written.span().start,
            "query.max-deadline",
            format!("is shorter than the app's own deadline of {}s", deadline.as_secs_f64()),
            "write a longer one, or a shorter query.deadline",
        )),
        Some(written) => Ok((deadline, written.get_ref().0)),
    }
}

fn deadline(text: &Text, query: &QueryTable) -> Result<Duration, AppError> {
    match &query.deadline {
        None => Ok(DEFAULT_DEADLINE),
        Some(written) if written.get_ref().0.is_zero() => Err(text.refuse(
            written.span().start,
            "query.deadline",
            "a deadline must be above 0",
            "write a duration above 0, such as \"10s\"",
        )),
        Some(written) => Ok(written.get_ref().0),
    }
}

fn floor(text: &Text, written: Option<Spanned<Share>>) -> Result<Floor, AppError> {
    let Some(written) = written else {
        return Ok(Floor::All);
    };
    let floor = written.get_ref().0;
    match floor {
        Floor::AtLeast(fraction) if !(fraction > 0.0 && fraction <= 1.0) => Err(text.refuse(
            written.span().start,
            "query.floor",
            format!("{fraction} is not above 0 and at most 1"),
            "a floor is a fraction of the work, \"all\" or \"best-effort\"; 90 % is 0.9",
        )),
        _ => Ok(floor),
    }
}

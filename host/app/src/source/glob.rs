//! Globs of a source: compiled once, with the app or with the query that brings them.

use std::fs;
use std::path::{Component, Path, PathBuf};

use frond_root::quote::clipped;

use super::pattern::Pattern;
use crate::error::{AppError, Complaint, Origin};

#[cfg(test)]
mod tests;

/// Longest glob, in bytes.
pub const MAX_GLOB: usize = 1 << 10;
/// The most globs of one source; names without wildcards do not count.
pub const MAX_GLOBS: usize = 100;

/// A glob, or the name of a file or a folder.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    /// Path without components `.`.
    pub(super) clean: PathBuf,
    /// Leading components of the path without wildcards.
    pub(super) fixed: PathBuf,
    /// Pattern of the further components; `None` for a name.
    pub(super) pattern: Option<Pattern>,
}

impl Glob {
    /// Text of the glob, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compiles a glob.
    ///
    /// # Errors
    /// When it is too long, or is not a glob.
    fn compile(text: &str) -> Result<Self, Complaint> {
        let clean = clean(text);
        let fixed: PathBuf = clean.components().take_while(|one| !is_wild(one)).collect();
        if fixed == clean {
            return Ok(Self::name(text));
        }
        if text.len() > MAX_GLOB {
            let wrong = format!("the glob `{}` has {} bytes, and the limit is {MAX_GLOB}", clipped(text), text.len());
            return Err(Complaint::new(wrong, "write it as several globs, or name the folder above the files"));
        }
        // Valid UTF-8, as it came from a `str`.
        let rest = clean.strip_prefix(&fixed).ok().and_then(Path::to_str).unwrap_or_default();
        let pattern = Pattern::new(rest)
            .map_err(|why| Complaint::new(format!("`{}` is not a glob: {why}", clipped(text)), ""))?;
        Ok(Self { text: text.to_owned(), clean, fixed, pattern: Some(pattern) })
    }

    /// Takes a text literally.
    fn name(text: &str) -> Self {
        let clean = clean(text);
        Self { text: text.to_owned(), fixed: clean.clone(), clean, pattern: None }
    }

    /// Compiles the globs of a `frond.toml`.
    ///
    /// # Errors
    /// The first glob that is wrong; too many globs.
    pub(crate) fn of_app(texts: &[String]) -> Result<Vec<Self>, Complaint> {
        bounded(texts.iter().map(|text| Self::compile(text)))
    }

    /// Compiles the globs of the command line. A name that exists is no glob, whatever its
    /// characters: a shell has made it of one.
    ///
    /// # Errors
    /// The first glob that is wrong; too many globs.
    pub(super) fn of_caller(texts: &[String]) -> Result<Vec<Self>, AppError> {
        let globs = texts.iter().map(|text| match fs::symlink_metadata(text) {
            Ok(_) => Ok(Self::name(text)),
            Err(_) => Self::compile(text),
        });
        bounded(globs).map_err(|complaint| Origin::Caller.refuse(complaint.text, complaint.hint))
    }
}

/// Collects globs up to their bound, so that no further one is compiled.
fn bounded(globs: impl Iterator<Item = Result<Glob, Complaint>>) -> Result<Vec<Glob>, Complaint> {
    let mut all = Vec::new();
    let mut patterns = 0;
    for glob in globs {
        let glob = glob?;
        patterns += usize::from(glob.pattern.is_some());
        if patterns > MAX_GLOBS {
            let wrong = format!("there are more than {MAX_GLOBS} globs");
            return Err(Complaint::new(wrong, "one glob matches many files: `data/**/*.txt`"));
        }
        all.push(glob);
    }
    Ok(all)
}

fn clean(text: &str) -> PathBuf {
    Path::new(text).components().filter(|one| *one != Component::CurDir).collect()
}

fn is_wild(component: &Component<'_>) -> bool {
    let text = component.as_os_str().as_encoded_bytes();
    text.iter().any(|byte| b"*?[]{}\\".contains(byte))
}

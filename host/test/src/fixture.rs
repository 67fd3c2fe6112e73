//! Files of a case: their reader, with its byte budget, and the error of a case itself.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use frond_app::size::show_size;

/// Limit in bytes on all cases of one package together, including the files that they name.
pub(crate) const MAX_FILES: u64 = 256 << 20;

/// Error of a case itself: neither a pass nor a failure of the plugin under test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fixture {
    /// The error and its remedy.
    pub what: String,
}

impl Fixture {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Reads the files that a case names, relative to the case's own file.
pub(crate) struct CaseFiles<'a> {
    case: &'a Path,
    /// Byte budget that remains for the files of the package's cases.
    left: &'a Cell<u64>,
}

impl<'a> CaseFiles<'a> {
    pub(crate) fn new(case: &'a Path, left: &'a Cell<u64>) -> Self {
        Self { case, left }
    }

    pub(crate) fn path(&self, named: &Path) -> PathBuf {
        self.case.parent().unwrap_or(Path::new(".")).join(named)
    }

    pub(crate) fn bytes(&self, named: &Path) -> Result<Bytes, Fixture> {
        let path = self.path(named);
        self.read(&path).map(Bytes::from)
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>, Fixture> {
        let left = self.left.get();
        let bytes = frond_files::read(path, left).map_err(|error| {
            let shown = if path == self.case { path.file_name().map_or(path, Path::new) } else { path };
            let what = format!("cannot read `{}`", shown.display());
            match error.kind() {
                ErrorKind::FileTooLarge => Fixture::new(format!(
                    "{what}: the cases of a package and the files that they name may have {} together\n\
                     (make them smaller)",
                    show_size(MAX_FILES)
                )),
                _ => Fixture::new(format!("{what}: {error}")),
            }
        })?;
        self.left.set(left - bytes.len() as u64);
        Ok(bytes)
    }

    pub(crate) fn either(
        &self,
        name: &str,
        inline: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Option<Bytes>, Fixture> {
        match (inline, file) {
            (Some(_), Some(_)) => Err(Fixture::new(format!("has both `{name}` and `{name}-file`"))),
            (Some(text), None) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
            (None, Some(named)) => self.bytes(named).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn partials(
        &self,
        inline: Option<Vec<String>>,
        files: Option<Vec<PathBuf>>,
    ) -> Result<Option<Vec<Bytes>>, Fixture> {
        match (inline, files) {
            (Some(_), Some(_)) => Err(Fixture::new("has both `partials` and `partial-files`")),
            (Some(texts), None) => Ok(Some(texts.into_iter().map(Bytes::from).collect())),
            (None, Some(named)) => named.iter().map(|one| self.bytes(one)).collect::<Result<_, _>>().map(Some),
            (None, None) => Ok(None),
        }
    }
}

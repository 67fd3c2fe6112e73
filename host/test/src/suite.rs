//! Test suite of a package: the files `cases/*.toml` beside its `frond.toml` or component.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::fixture::{Fixture, MAX_FILES};

/// Limit on the directory entries that are read.
const MAX_CASES: usize = 10_000;

/// Test cases of one package, sorted by name.
#[derive(Debug, Default)]
pub struct Suite {
    /// Each case by name, or the error in its file.
    pub cases: Vec<(String, Result<Case, Fixture>)>,
}

impl Suite {
    /// Reads the cases in `dir/cases` whose names contain `filter`. A folder without cases gives an
    /// empty suite.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(dir: &Path, filter: Option<&str>) -> std::io::Result<Self> {
        let folder = dir.join("cases");
        if !folder.is_dir() {
            return Ok(Self::default());
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)?.take(MAX_CASES) {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
        let named = files.into_iter().map(|file| (name_of(&file), file)).filter(|(name, _)| wanted(name));
        let left = Cell::new(MAX_FILES);
        Ok(Self { cases: named.map(|(name, file)| (name, Case::read_within(&file, &left))).collect() })
    }
}

fn name_of(file: &PathBuf) -> String {
    Path::new(file).file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

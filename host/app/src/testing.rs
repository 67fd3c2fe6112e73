//! Test helpers of this crate: a folder with an app, and errors as users see them.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use frond_root::Partition;

use crate::app::App;
use crate::error::AppError;
use crate::source::{Cut, Glob, Inputs};

/// Sections that every app needs except the source: four lines.
pub(crate) const COMPONENTS: &str = "[leaf]\ncomponent = \"leaf.wasm\"\n[merge]\ncomponent = \"merge.wasm\"\n";

/// A temporary folder that is removed at the end of its test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Creates a folder with a `frond.toml` of [`COMPONENTS`] and `rest`.
    pub(crate) fn app(rest: &str) -> Self {
        let folder = Self::new();
        folder.write("frond.toml", format!("{COMPONENTS}{rest}"));
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn load(&self) -> Result<App, AppError> {
        App::load(self.dir())
    }

    pub(crate) fn cut(&self, inputs: Inputs<'_>) -> Result<Vec<Partition>, AppError> {
        match self.load()?.partitions(inputs)? {
            Cut::Ready { partitions, .. } => Ok(partitions),
            Cut::Split { .. } => panic!("the source is not cut here"),
        }
    }

    /// Formats the error and its causes, one per line, with this folder as `APP`.
    pub(crate) fn show(&self, error: &AppError) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\ncaused by: {error}"));
            cause = error.source();
        }
        text.replace(&self.dir().display().to_string(), "APP")
    }
}

/// Error of an app with [`COMPONENTS`] and `rest`.
pub(crate) fn refused(rest: &str) -> String {
    let folder = Folder::app(rest);
    folder.load().map_or_else(|error| folder.show(&error), |_| "accepted".to_owned())
}

/// Globs as those of a `frond.toml`.
pub(crate) fn globs_of(texts: &[&str]) -> Vec<Glob> {
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    Glob::of_app(&texts).unwrap()
}

/// Formats keys, weights and contents, or the reason why a content cannot be read.
pub(crate) fn table(partitions: &[Partition]) -> String {
    let row = |one: &Partition| match one.content.whole() {
        Ok(content) => format!("{} ({}) {:?}\n", one.key, one.weight, String::from_utf8_lossy(&content)),
        Err(failure) => format!("{} ({}) {failure}\n", one.key, one.weight),
    };
    partitions.iter().map(row).collect()
}

//! A wasm file that an app names: located, verified against its pinned digest, and reported at the
//! line that names it.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use frond_root::Digest;
use frond_root::quote::clipped;

use crate::error::{AppError, Complaint, Location};
use crate::manifest::{ComponentTable, Text};
use crate::paths::under;

#[cfg(test)]
mod tests;

/// Largest size of a component, in bytes.
const MAX_SIZE: u64 = 256 << 20;

/// A component as `frond.toml` names it. Its file may not exist yet: see [`Component::check`].
#[derive(Clone, Debug)]
pub struct Component {
    /// Path of the file, usable from the current folder.
    pub path: PathBuf,
    /// Pinned SHA-256 of the file, if any.
    pub sha256: Option<Digest>,
    /// Command that builds the file, run in the app's folder.
    pub build: Option<String>,
    /// Line and key that name the file.
    pub at: Location,
    pin_at: Option<Location>,
    build_at: Option<Location>,
    app: PathBuf,
}

impl Component {
    /// Resolves the section `role` of an app in the folder `dir`.
    pub(crate) fn resolve(text: &Text, role: &str, dir: &Path, table: &ComponentTable) -> Result<Self, AppError> {
        let key = |name| format!("{role}.{name}");
        let named = &table.component;
        if named.get_ref().trim().is_empty() {
            let hint = "write the wasm file's path, relative to frond.toml";
            return Err(text.refuse(named.span().start, key("component"), "the path is empty", hint));
        }
        let empty_build = table.build.as_ref().filter(|one| one.get_ref().trim().is_empty());
        if let Some(build) = empty_build {
            let hint = "leave the key out when there is nothing to build";
            return Err(text.refuse(build.span().start, key("build"), "the command is empty", hint));
        }
        let pin = |written: &serde_spanned::Spanned<String>| {
            written.get_ref().to_ascii_lowercase().parse().map_err(|_| {
                let found = format!("expected 64 hexadecimal digits, found `{}`", clipped(written.get_ref()));
                text.refuse(written.span().start, key("sha256"), found, "as `sha256sum` prints them")
            })
        };
        Ok(Self {
            path: under(dir, named.get_ref()),
            sha256: table.sha256.as_ref().map(pin).transpose()?,
            build: table.build.as_ref().map(|one| one.get_ref().clone()),
            at: text.place(named.span().start, key("component")),
            pin_at: table.sha256.as_ref().map(|one| text.place(one.span().start, key("sha256"))),
            build_at: table.build.as_ref().map(|one| text.place(one.span().start, key("build"))),
            app: dir.to_path_buf(),
        })
    }

    /// Returns a component that no `frond.toml` names, without pin and build command.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            sha256: None,
            build: None,
            at: Location { file: path.into(), line: 0, key: String::new() },
            pin_at: None,
            build_at: None,
            app: path.parent().unwrap_or(Path::new("")).to_path_buf(),
        }
    }

    /// Checks that the component's file exists.
    ///
    /// # Errors
    /// [`AppError::Manifest`] at the line that names the file, with the remedy: `frond build` when
    /// the component has a build command.
    pub fn check(&self) -> Result<(), AppError> {
        let path = self.path.display();
        match fs::metadata(&self.path) {
            Ok(found) if found.is_file() => Ok(()),
            Ok(_) => Err(self.complain(format!("`{path}` is not a file"), "name the wasm file itself", None)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                Err(self.complain(format!("there is no file `{path}`"), self.remedy(), None))
            }
            Err(cause) => Err(self.complain(format!("cannot read `{path}`"), "", Some(cause))),
        }
    }

    /// Reads the component's bytes, after [`Component::check`] and [`Component::verify`].
    ///
    /// # Errors
    /// The errors of both checks, and a failure to read the file.
    pub fn read(&self) -> Result<Vec<u8>, AppError> {
        self.check()?;
        let bytes = frond_files::read(&self.path, MAX_SIZE)
            .map_err(|cause| self.complain(format!("cannot read `{}`", self.path.display()), "", Some(cause)))?;
        self.verify(&bytes)?;
        Ok(bytes)
    }

    /// Compares `bytes` with the pinned digest; without a pin, every file passes.
    ///
    /// # Errors
    /// [`AppError::Manifest`] with the pinned digest and the digest found.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), AppError> {
        let Some(expected) = &self.sha256 else {
            return Ok(());
        };
        let found = Digest::of(bytes);
        if found == *expected {
            return Ok(());
        }
        let text = format!(
            "`{}` is not the file that is pinned\n expected {expected}\n found    {found}",
            self.path.display()
        );
        Err(AppError::Manifest {
            at: self.pin_at.clone().unwrap_or_else(|| self.at.clone()),
            complaint: Complaint::new(text, "pin the new digest if you trust the file"),
            cause: None,
        })
    }

    /// Returns an error about the file's contents, such as "exports merge-partials, not
    /// process-partition". `why` may end with a hint on a separate line.
    pub fn misfit(&self, why: impl Display) -> AppError {
        self.complain(format!("`{}`: {why}", self.path.display()), "", None)
    }

    /// Line and key of the build command, if there is one.
    pub(crate) fn build_at(&self) -> Option<&Location> {
        self.build_at.as_ref()
    }

    fn remedy(&self) -> String {
        if self.build.is_some() {
            format!("run `frond build {}`", self.app.display())
        } else {
            "correct the path, which is relative to frond.toml, or give the key `build` a command that makes the file"
                .to_owned()
        }
    }

    fn complain(&self, text: String, hint: impl Into<String>, cause: Option<std::io::Error>) -> AppError {
        AppError::Manifest { at: self.at.clone(), complaint: Complaint::new(text, hint), cause }
    }
}

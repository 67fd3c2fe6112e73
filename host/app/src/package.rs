//! The contents of a `frond.toml`, complete or not. An app is complete; a plugin that is written
//! and tested alone has only its leaf or its merge.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use frond_root::{Floor, MergeOrder, PartitionKey};

use crate::app::{App, resolve};
use crate::component::{Component, under};
use crate::error::{AppError, Complaint, Location};
use crate::grants::Grants;
use crate::limits::Limits;
use crate::manifest::Text;
use crate::retry::Retries;
use crate::source::Source;

/// Largest `frond.toml`, in bytes. Parsing one takes about a hundred times its size.
pub const MAX_MANIFEST: u64 = 1 << 20;
/// Environment variable with the folder for the tools of build commands.
const TOOLS: &str = "FROND_TOOLS";

/// An [`App`] whose leaf, merge and source may be missing.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of `App`")]
pub struct Package {
    pub dir: PathBuf,
    pub name: String,
    pub content_type: String,
    pub leaf: Option<Component>,
    pub merge: Option<Component>,
    pub split: Option<Component>,
    pub order: MergeOrder,
    pub source: Option<Source>,
    pub deadline: Duration,
    pub max_deadline: Duration,
    pub floor: Floor,
    pub required: Vec<PartitionKey>,
    pub grants: Grants,
    pub limits: Limits,
    pub retry: Retries,
}

impl From<&App> for Package {
    fn from(app: &App) -> Self {
        let app = app.clone();
        Self {
            dir: app.dir,
            name: app.name,
            content_type: app.content_type,
            leaf: Some(app.leaf),
            merge: Some(app.merge),
            split: app.split,
            order: app.order,
            source: Some(app.source),
            deadline: app.deadline,
            max_deadline: app.max_deadline,
            floor: app.floor,
            required: app.required,
            grants: app.grants,
            limits: app.limits,
            retry: app.retry,
        }
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
        resolve::resolve(dir, &text)
    }

    /// Wraps a single component in a package with default limits. The caller names its roles.
    #[must_use]
    pub fn of(path: &Path, leaf: bool, merge: bool, split: bool) -> Self {
        let component = |wanted: bool| wanted.then(|| Component::file(path));
        Self {
            dir: path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf(),
            name: path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            content_type: resolve::DEFAULT_CONTENT_TYPE.to_owned(),
            leaf: component(leaf),
            merge: component(merge),
            split: component(split),
            order: MergeOrder::Any,
            source: None,
            deadline: resolve::DEFAULT_DEADLINE,
            max_deadline: resolve::DEFAULT_MAX_DEADLINE,
            floor: Floor::All,
            required: Vec::new(),
            limits: Limits::default(),
            retry: Retries::default(),
            grants: Grants::default(),
        }
    }

    /// Converts a complete package to an app.
    ///
    /// # Errors
    /// [`AppError::Manifest`] about the first missing section.
    pub fn app(self) -> Result<App, AppError> {
        let file: Arc<Path> = under(&self.dir, "frond.toml").into();
        let lacks = |section: &str| AppError::Manifest {
            at: Location { file: file.clone(), line: 1, key: String::new() },
            complaint: Complaint::new(
                format!("there is no [{section}] section"),
                "an app has at least the sections [leaf], [merge] and [source]",
            ),
            cause: None,
        };
        Ok(App {
            leaf: self.leaf.ok_or_else(|| lacks("leaf"))?,
            merge: self.merge.ok_or_else(|| lacks("merge"))?,
            source: self.source.ok_or_else(|| lacks("source"))?,
            dir: self.dir,
            name: self.name,
            content_type: self.content_type,
            split: self.split,
            order: self.order,
            deadline: self.deadline,
            max_deadline: self.max_deadline,
            floor: self.floor,
            required: self.required,
            grants: self.grants,
            limits: self.limits,
            retry: self.retry,
        })
    }

    /// Returns the package's components: leaf, merge and split, as far as present.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        [&self.leaf, &self.merge, &self.split].into_iter().flatten()
    }

    /// Runs each build command once, in the package's folder, with this process's stderr as its
    /// output. Returns the number of commands. If a command fails, the files that it should have
    /// built are removed, so that nobody mistakes an earlier build for the new one.
    ///
    /// # Errors
    /// When a command fails, or a component is missing after its command succeeded.
    pub fn build(&self) -> Result<usize, AppError> {
        let mut done: Vec<&str> = Vec::new();
        for component in self.components() {
            if let Some(command) = component.build.as_deref().filter(|one| !done.contains(one)) {
                self.run(component, command).inspect_err(|_| self.discard(command))?;
                done.push(command);
            }
        }
        for component in self.components().filter(|one| one.build.is_some()) {
            component.check().map_err(|_| {
                let text = format!("the command succeeded, but there is no file `{}`", component.path.display());
                built_wrong(component, text, "make `build` and `component` name the same file", None)
            })?;
        }
        Ok(done.len())
    }

    #[expect(clippy::disallowed_methods, reason = "it is handed to the command, and not written to")]
    fn run(&self, component: &Component, command: &str) -> Result<(), AppError> {
        // A build must neither consume the query's input on stdin nor write into the answer on
        // stdout.
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.dir)
            .envs(tools().map(|folder| (TOOLS, folder)))
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let text = format!("the command failed with {status}: {command}");
                Err(built_wrong(component, text, "its own output is above", None))
            }
            Err(cause) => {
                let text = format!("the command could not be started: {command}");
                Err(built_wrong(component, text, "", Some(cause)))
            }
        }
    }

    fn discard(&self, command: &str) {
        for component in self.components().filter(|one| one.build.as_deref() == Some(command)) {
            // The file may not exist.
            let _ = fs::remove_file(&component.path);
        }
    }
}

/// Folder that several packages share for their tools, made absolute: build commands run in the
/// package's folder.
fn tools() -> Option<PathBuf> {
    let folder = std::env::var_os(TOOLS).filter(|folder| !folder.is_empty())?;
    std::path::absolute(folder).ok()
}

fn built_wrong(component: &Component, text: String, hint: &str, cause: Option<io::Error>) -> AppError {
    AppError::Manifest {
        at: component.build_at().unwrap_or(&component.at).clone(),
        complaint: Complaint::new(text, hint),
        cause,
    }
}

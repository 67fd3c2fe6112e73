//! An app as resolved: what `frond.toml` says, with the defaults filled in and the contradictions refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use frond_root::{Floor, MergeOrder, PartitionKey};

use crate::component::{Component, under};
use crate::error::{AppError, Complaint};
use crate::limits::Limits;
use crate::manifest::Text;
use crate::source::Source;

mod limits;
mod resolve;
mod source;

#[cfg(test)]
mod tests;

/// One app, ready to run once its components are there.
#[derive(Clone, Debug)]
pub struct App {
    /// Its folder, usable from the current one.
    pub dir: PathBuf,
    /// Its name; its folder's, unless it says otherwise.
    pub name: String,
    /// The media type of its answers.
    pub content_type: String,
    /// What runs on each partition.
    pub leaf: Component,
    /// What folds the partials.
    pub merge: Component,
    /// What cuts the query. Always there when the source is [`Source::Split`].
    pub split: Option<Component>,
    /// The order in which partials are folded.
    pub order: MergeOrder,
    /// Where its partitions come from.
    pub source: Source,
    /// How long a query may take, unless it says otherwise.
    pub deadline: Duration,
    /// How much an answer must stand on, unless the query says otherwise.
    pub floor: Floor,
    /// Partitions that must be in every answer.
    pub required: Vec<PartitionKey>,
    /// What its guests may take.
    pub limits: Limits,
}

impl App {
    /// Reads an app from its folder, or from the path of its `frond.toml`. Its components and data may be missing.
    ///
    /// # Errors
    /// When there is no app, or its `frond.toml` is wrong: with the line, the key and the remedy.
    pub fn load(dir: &Path) -> Result<Self, AppError> {
        let file = if dir.is_dir() { under(dir, "frond.toml") } else { dir.to_path_buf() };
        let no_app = |why, cause| AppError::NoApp { path: dir.to_path_buf(), why, cause };
        // Before it is read: what is there may be a named pipe.
        if !file.is_file() {
            let folder = dir.is_dir();
            let why = if folder { "the folder has no frond.toml" } else { "there is no such file or folder" };
            return Err(no_app(why, None));
        }
        let bytes = fs::read(&file).map_err(|cause| no_app("its frond.toml cannot be read", Some(cause)))?;
        let text = Text::new(Arc::from(file.as_path()), bytes)?;
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        resolve::resolve(dir, &text)
    }

    /// Its components: leaf, merge and, where there is one, split.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        [&self.leaf, &self.merge].into_iter().chain(&self.split)
    }

    /// Runs each build command once, in the app's folder, with this process's stdout and stderr. Returns how many ran.
    ///
    /// # Errors
    /// When a command fails, or a component is missing after its command succeeded.
    pub fn build(&self) -> Result<usize, AppError> {
        let mut done: Vec<&str> = Vec::new();
        for component in self.components() {
            if let Some(command) = component.build.as_deref().filter(|one| !done.contains(one)) {
                self.run(component, command)?;
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

    fn run(&self, component: &Component, command: &str) -> Result<(), AppError> {
        // A build that reads stdin would swallow the query's input, and one that writes to stdout would spoil its answer.
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.dir)
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
}

fn built_wrong(component: &Component, text: String, hint: &str, cause: Option<io::Error>) -> AppError {
    AppError::Manifest {
        at: component.build_at().unwrap_or(&component.at).clone(),
        complaint: Complaint::new(text, hint),
        cause,
    }
}

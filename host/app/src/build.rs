//! Build commands of an app's components.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::app::App;
use crate::component::Component;
use crate::error::{AppError, Complaint};
use crate::package::Package;

/// Environment variable with the folder for the tools of build commands.
const TOOLS: &str = "FROND_TOOLS";

impl App {
    /// Runs the app's build commands: see [`Package::build`].
    ///
    /// # Errors
    /// The errors of [`Package::build`].
    pub fn build(&self) -> Result<usize, AppError> {
        Package::from(self).build()
    }
}

impl Package {
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

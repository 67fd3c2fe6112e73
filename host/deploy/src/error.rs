//! Reasons why an app was not changed, or no app can be served.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use frond_root::quote::shortened;
use frond_run::RunError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest text of a refusal, in bytes; it can include text from a guest.
const MAX_TEXT: usize = 16 << 10;

/// The stage of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Some components have changed; the others may follow.
    Waiting,
    /// `frond.toml` and the components are being validated.
    Validating,
    /// The components are being compiled.
    Compiling,
    /// The app's cases are being run.
    Testing,
    /// The canary runs: the last query, on at most two partitions.
    Canary,
    /// The version is being written to the state folder.
    Storing,
}

/// A refused change. The version that served before keeps serving.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refusal {
    pub(crate) stage: Stage,
    pub(crate) text: String,
}

impl Refusal {
    /// Builds the text from the error and its causes, as the command line prints them.
    pub(crate) fn new(stage: Stage, error: &(dyn Error + 'static)) -> Self {
        Self::told(stage, chain(error))
    }

    /// Uses this text, truncated if it is too long.
    pub(crate) fn told(stage: Stage, text: String) -> Self {
        Self { stage, text: shortened(text, MAX_TEXT) }
    }
}

/// An error and its causes, one a line, truncated if they are too long.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    frond_root::quote::chain(error, MAX_TEXT)
}

/// Reason why a requested change was not made. The version that served before keeps serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// There is no such app.
    #[error("there is no such app")]
    NotFound,
    /// There is no version to go back to.
    #[error("the app `{app}` has no version before the one that it serves\n(upload a component, or change its folder)")]
    NoVersion {
        /// The app.
        app: String,
    },
    /// A check refused the change.
    #[error("{error}")]
    Refused {
        /// The stage that refused it.
        stage: Stage,
        /// The error, where it is, and how to fix it, in several lines.
        error: String,
    },
    /// The component is larger than the limit.
    #[error(
        "the component has {size} bytes, more than the {limit} that are taken\n(build it in release mode and without debug information)"
    )]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Too many changes are queued.
    #[error("too many changes wait to be checked\n(try again when they are checked)")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping, and accepts no changes")]
    Stopping,
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { stage: refusal.stage, error: refusal.text }
    }
}

/// Reason why a version that no longer serves cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The app does not exist, or has no version that can serve.
    #[error("the app is not served")]
    NoApp,
    /// The version has been dropped from the history, or never served here.
    #[error("this server keeps the {history} latest versions of `{app}`, and this version is not among them")]
    NotKept {
        /// The app.
        app: String,
        /// The number of versions that are stored.
        history: usize,
    },
    /// The stored versions cannot be read.
    #[error("the stored versions of the app cannot be read")]
    Unread(#[source] StateError),
    /// The version can no longer be loaded.
    #[error("version {number} cannot be loaded again: {why}")]
    Refused {
        /// The version's number.
        number: u64,
        /// The reason.
        why: String,
    },
    /// The version's grants exceed those of the version that serves here.
    #[error(
        "version {number} is granted more than the version of the app that serves here\n(grant the same here, or leave its jobs to servers that do)"
    )]
    Granted {
        /// The version's number where it was packed.
        number: u64,
    },
    /// The version that another server has packed cannot be read.
    #[error("the version that another server has stored cannot be read: {why}")]
    Strange {
        /// The reason.
        why: String,
    },
    /// Loading it panicked.
    #[error("loading the version panicked: that is a bug in Frond\n(its message is in the server's log)")]
    Lost,
}

/// Reason why no app can be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder of apps cannot be read.
    #[error("the apps in `{}` cannot be listed\n(give a folder that holds app folders, or one app's own folder)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The machine or the runtime failed.
    #[error(transparent)]
    Machine(#[from] RunError),
}

/// Errors of the state folder, in which the server stores versions and histories.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file of it cannot be read or written.
    #[error("cannot {what} `{}`\n(the state folder must be one that this user can write to, with room on its disk)", path.display())]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// Other users can write to it.
    #[error("others than this user can write to `{}`\n(the server runs code from this folder: remove the right with `chmod go-w`, or name another state folder)", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
    },
    /// Another server uses it.
    #[error("another server uses `{}`\n(each server needs a separate state folder)", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A file of it has an unknown format, or is damaged.
    #[error("`{}` cannot be used: {why}\n(it was written by another version of Frond, or is damaged: move it away to start without it)", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

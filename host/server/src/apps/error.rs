//! Why an app was not changed, or none could be served at all.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use frond_run::RunError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest text of a refusal, in bytes: a guest's own words are in it.
const MAX_TEXT: usize = 16 << 10;

/// How far a change got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Some components have changed, and the others may follow.
    Waiting,
    /// `frond.toml` is read, components are looked at.
    Validating,
    /// Components are compiled.
    Compiling,
    /// The app's cases are tried.
    Testing,
    /// The last query is asked, of two partitions at most.
    Canary,
    /// It is written to the state folder.
    Storing,
}

/// A change that was not made: what served before still serves.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refusal {
    pub(crate) stage: Stage,
    pub(crate) text: String,
}

impl Refusal {
    /// With the error's causes, as the command line tells them.
    pub(crate) fn new(stage: Stage, error: &(dyn Error + 'static)) -> Self {
        Self::told(stage, chain(error))
    }

    /// In these words, cut where they get too long.
    pub(crate) fn told(stage: Stage, mut text: String) -> Self {
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        Self { stage, text }
    }
}

/// An error and its causes, a line each.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}\n  because: {cause}");
        next = cause.source();
    }
    text
}

/// Why an app was not changed as somebody asked. What served before still serves.
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
    /// It was checked, and does not do.
    #[error("{error}")]
    Refused {
        /// How far it got.
        stage: Stage,
        /// What is wrong, where, and what to do, in several lines.
        error: String,
    },
    /// The component is larger than is taken.
    #[error(
        "the component has {size} bytes, more than the {limit} that are taken\n(build it in release mode and without debug information)"
    )]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// Too many changes wait.
    #[error("too many changes wait to be checked\n(try again when they are through)")]
    Busy,
    /// The server is ending.
    #[error("the server is stopping, and changes nothing any more")]
    Stopping,
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { stage: refusal.stage, error: refusal.text }
    }
}

/// Why a version that no longer serves cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The app is not there, or has no version that could serve.
    #[error("the app is not served")]
    NoApp,
    /// It was forgotten, or never served here.
    #[error("of `{app}`, this server keeps the {history} latest versions, and that one is not among them")]
    NotKept {
        /// The app.
        app: String,
        /// How many are kept.
        history: usize,
    },
    /// What is kept cannot be read.
    #[error("what is kept of the app's versions cannot be read")]
    Unread(#[source] StateError),
    /// It cannot be loaded any more.
    #[error("version {number} cannot be loaded again: {why}")]
    Refused {
        /// Its number.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// It is granted more than the version that serves here.
    #[error(
        "version {number} is granted more than the version of the app that serves here\n(grant the same here, or leave its jobs to servers that do)"
    )]
    Granted {
        /// Its number where it was packed.
        number: u64,
    },
    /// What another server has kept of it cannot be understood.
    #[error("the version that another server has kept cannot be understood: {why}")]
    Strange {
        /// What is strange.
        why: String,
    },
    /// Loading it panicked.
    #[error("loading the version panicked: that is a bug in Frond\n(its message is in the server's log)")]
    Lost,
}

/// Why no app can be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder of apps cannot be read.
    #[error("the apps in `{}` cannot be listed\n(give a folder that holds app folders, or one app's own folder)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The machine does not let it work.
    #[error(transparent)]
    Machine(#[from] RunError),
}

/// What is wrong with the folder in which the server keeps what it served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file of it cannot be read or written.
    #[error("cannot {what} `{}`\n(the state folder must be one that this user can write to, with room on its disk)", path.display())]
    Io {
        /// What could not be done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Others can write to it.
    #[error("others than this user can write to `{}`\n(what is in it is run: `chmod go-w` it, or name another state folder)", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
    },
    /// Another server uses it.
    #[error("another server uses `{}`\n(each needs a state folder of its own)", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A file of it is none of ours, or of a later Frond.
    #[error("`{}` cannot be understood: {why}\n(it was written by another version of Frond, or damaged: move it away to begin anew)", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// What is strange.
        why: String,
    },
}

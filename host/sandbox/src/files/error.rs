//! Failed file operations: the code for the guest, and the text of the denial, if it is one.

use std::io;

use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::threads::CallError;

/// Reason why a file operation failed.
#[derive(Debug)]
pub(super) enum FileError {
    /// The file is neither a regular file nor a folder, but this.
    Special(&'static str),
    /// The call has as many files open as it may: this many.
    TooMany(usize),
    /// All calls together have as many files open as they may.
    TooManyInAll,
    /// The folder's file system does not answer.
    Call(CallError),
    /// Error of the system.
    Io(io::Error),
    /// Error code of WASI.
    Code(ErrorCode),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl FileError {
    /// Returns the error code for the guest.
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::Special(_) => ErrorCode::NotPermitted,
            Self::TooMany(_) | Self::TooManyInAll => ErrorCode::InsufficientMemory,
            Self::Call(_) => ErrorCode::Busy,
            Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock => ErrorCode::WouldBlock,
            Self::Io(error) => ErrorCode::from(error),
            Self::Code(code) => *code,
        }
    }

    /// Describes why a folder could not be opened.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Io(error) => error.to_string(),
            other => other.note().map_or_else(|| format!("{:?}", other.code()), |(why, _)| why),
        }
    }

    /// Returns the text that follows "asked for a file, " in a denial, and the remedy. `None` for
    /// an ordinary error of the file, which is no denial.
    pub(super) fn note(&self) -> Option<(String, &'static str)> {
        match self {
            Self::Special(what) => {
                let why = format!("which is {what}: only regular files and folders are opened");
                Some((why, "let the leaf skip it, or take it out of the granted folder"))
            }
            Self::TooMany(most) => {
                let why = format!("with {most} files, folders and streams open, which is the most for one call");
                Some((why, "let it close what it has read"))
            }
            Self::TooManyInAll => {
                let why = "while all calls together were at their limit of open files".to_owned();
                Some((why, "raise `ulimit -n`, or let leaves close what they have read"))
            }
            Self::Call(why) => Some((format!("of a folder that does not answer: {why}"), "ask again later")),
            Self::Io(_) | Self::Code(_) => None,
        }
    }
}

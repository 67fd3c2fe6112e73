//! Granted folders: `wasi:filesystem`, read-only, in place of WASI's own implementation, which opens whatever is there and
//! waits for it on the runtime's threads. A named pipe without a writer would hold such a thread for ever.
//!
//! - Only regular files and folders are opened. Others are refused before they are opened, as opening a device may have an
//!   effect, and again after that by `fstat`, as names may change in between. Files are opened with `O_NONBLOCK`.
//! - Every system call is made by [`threads`], which may be lost to a file system that does not answer.
//! - Paths are resolved beneath the folder by `cap-primitives` (`openat2` with `RESOLVE_BENEATH`), as WASI's own does.
//! - Open files, streams and calls at once are bounded for each call, and open files for the process.
//!
//! [`descriptor`] has the interface's functions, [`system`] the calls behind them, [`stream`] reads a file's bytes,
//! [`listing`] a folder's entries.

pub(crate) mod descriptor;
mod listing;
mod stream;
mod system;
pub(crate) mod threads;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use frond_root::{Content, Failure, FailureKind};
use rustix::process::{Resource as Bound, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::grants::Directory;
use system::OpenMode;
use threads::{Bulkhead, CallError, Resource, THREADS};

/// Files, folders and streams that one call may have open at once, where the process may open enough files.
const MAX_OPEN: usize = 128;
/// The same where it may not.
const MIN_OPEN: usize = 16;
/// System calls for one call that may be under way at once.
const MAX_AT_ONCE: usize = 16;
/// Files and folders that all calls of the process may have open at once, where the process may open enough files.
const MAX_OPEN_IN_ALL: usize = 1 << 16;
/// The most bytes of one read.
const CHUNK: usize = 64 << 10;

/// Open files and folders of all calls: at most half of those that the process may have, as it needs others to serve.
static OPEN: LazyLock<(Arc<Semaphore>, usize)> = LazyLock::new(|| {
    let half =
        getrlimit(Bound::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX));
    let all = half.clamp(MIN_OPEN, MAX_OPEN_IN_ALL);
    // No call may take so many that some others could open none.
    (Arc::new(Semaphore::new(all)), (all / 16).clamp(MIN_OPEN, MAX_OPEN))
});

/// The files of one call.
#[derive(Clone)]
pub(crate) struct Files {
    open: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl Default for Files {
    fn default() -> Self {
        Self { open: Arc::new(Semaphore::new(OPEN.1)), at_once: Arc::new(Semaphore::new(MAX_AT_ONCE)) }
    }
}

/// Something open: closed on a thread that may be lost, since closing may wait.
struct Closing<T: Send + 'static> {
    inner: Option<(T, OpenFilePermits)>,
    lane: Arc<Bulkhead>,
}

/// Places of an open file among those of its call and of the process.
type OpenFilePermits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl<T: Send + 'static> Closing<T> {
    fn get(&self) -> Option<&T> {
        self.inner.as_ref().map(|(inner, _)| inner)
    }
}

impl<T: Send + 'static> Drop for Closing<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.lane.discard(inner);
        }
    }
}

/// An open file or folder.
pub(crate) struct Node {
    file: Closing<File>,
    is_folder: bool,
}

impl Node {
    fn file(&self) -> io::Result<&File> {
        self.file.get().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Why a guest did not get what it asked for.
#[derive(Debug)]
enum FileError {
    /// It is not a regular file or a folder, but this.
    Special(&'static str),
    /// The call has as many open as it may.
    TooMany,
    /// All calls have.
    TooManyInAll,
    /// The folder's file system does not answer.
    Call(CallError),
    /// The system's reason.
    Io(io::Error),
    /// A reason of WASI's own.
    Code(ErrorCode),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl FileError {
    /// What the guest is told.
    fn code(&self) -> ErrorCode {
        match self {
            Self::Special(_) => ErrorCode::NotPermitted,
            Self::TooMany | Self::TooManyInAll => ErrorCode::InsufficientMemory,
            Self::Call(_) => ErrorCode::Busy,
            Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock => ErrorCode::WouldBlock,
            Self::Io(error) => ErrorCode::from(error),
            Self::Code(code) => *code,
        }
    }

    /// Why a folder could not be opened.
    fn why(&self) -> String {
        match self {
            Self::Io(error) => error.to_string(),
            other => other.note().map_or_else(|| format!("{:?}", other.code()), |(why, _)| why),
        }
    }

    /// What is noted of it, after "asked for a file, "; and the remedy. A mere error of the file's is no refusal.
    fn note(&self) -> Option<(String, &'static str)> {
        match self {
            Self::Special(what) => {
                let why = format!("which is {what}: only regular files and folders are opened");
                Some((why, "let the leaf skip it, or take it out of the granted folder"))
            }
            Self::TooMany => {
                let why = format!("with {} files, folders and streams open, which is the most for one call", OPEN.1);
                Some((why, "let it close what it has read"))
            }
            Self::TooManyInAll => {
                let why = "while all calls together had as many files open as they may".to_owned();
                Some((why, "raise `ulimit -n`, or let leaves close what they have read"))
            }
            Self::Call(why) => Some((format!("of a folder that does not answer: {why}"), "ask again later")),
            Self::Io(_) | Self::Code(_) => None,
        }
    }
}

impl Files {
    /// Makes a system call for a guest on a thread that may be lost.
    async fn call<T: Send + 'static>(
        &self,
        lane: &Arc<Bulkhead>,
        call: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        // It is never closed.
        let _place = self.at_once.acquire().await.map_err(|_| FileError::Call(CallError::Lost))?;
        lane.call(call).await.map_err(FileError::Call)?
    }

    /// Takes the places of something that is to be opened.
    fn places(&self) -> Result<OpenFilePermits, FileError> {
        let own = self.open.clone().try_acquire_owned().map_err(|_| FileError::TooMany)?;
        let all = OPEN.0.clone().try_acquire_owned().map_err(|_| FileError::TooManyInAll)?;
        Ok((own, all))
    }

    /// Opens a granted folder.
    async fn folder(&self, directory: &Directory) -> Result<Arc<Node>, FileError> {
        let lane = THREADS.lane(&Resource::Folder(directory.host.clone()));
        let (places, path) = (self.places()?, directory.host.clone());
        let file = self.call(&lane, move || Ok(system::open_folder(&path)?)).await?;
        Ok(Arc::new(Node { file: Closing { inner: Some((file, places)), lane }, is_folder: true }))
    }

    /// Opens what is at `path` beneath a folder.
    async fn open(&self, folder: Arc<Node>, path: String, how: OpenMode) -> Result<Node, FileError> {
        let (places, lane) = (self.places()?, folder.file.lane.clone());
        let opened = self.call(&lane, move || system::open_beneath(folder.file()?, Path::new(&path), how)).await;
        let (file, is_folder) = opened?;
        Ok(Node { file: Closing { inner: Some((file, places)), lane }, is_folder })
    }
}

/// Reads of a partition's content: here if that is over soon, else on a thread that may be lost.
pub(crate) async fn pull(
    content: &Arc<dyn Content>,
    read: impl FnOnce(&dyn Content) -> Result<Bytes, Failure> + Send + 'static,
) -> Result<Bytes, Failure> {
    let Some(number) = content.remote() else { return read(&**content) };
    let (lane, content) = (THREADS.lane(&Resource::FileSystem(number)), content.clone());
    lane.call(move || read(&*content)).await.unwrap_or_else(|why| {
        Err(Failure::new(FailureKind::Unavailable, format!("its file system does not answer: {why}")))
    })
}

//! Granted folders: a read-only `wasi:filesystem` in place of WASI's own, which opens any kind of
//! file and waits for it on the runtime's threads. A named pipe without a writer would block such a
//! thread forever.
//!
//! - Only regular files and folders are opened. The kind is checked before the open, as opening a
//!   device may have an effect, and again by `fstat` after it, as names may change in between.
//!   Files are opened with `O_NONBLOCK`.
//! - Every system call runs on a thread of [`threads`], which may be lost to a file system that
//!   does not answer.
//! - `cap-primitives` resolves paths beneath the folder (`openat2` with `RESOLVE_BENEATH`), as in
//!   WASI's own implementation.
//! - Each call has bounds on open files, streams and concurrent system calls; the process has one
//!   on open files.
//!
//! [`descriptor`] has the interface's functions, [`system`] the system calls behind them,
//! [`stream`] reads a file's bytes, [`listing`] a folder's entries.

pub(crate) mod descriptor;
mod error;
mod listing;
mod stream;
mod system;
pub(crate) mod threads;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use frond_root::call::Directory;
use frond_root::{Content, Failure, FailureKind};
use rustix::process::{Resource as Bound, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use error::FileError;
use system::OpenMode;
use threads::{Bulkhead, CallError, Resource, THREADS};

/// Most open files, folders and streams of one call, if the process may open enough files.
const MAX_OPEN: usize = 128;
/// Least bound on open files, folders and streams of one call, and of all calls, if the process may
/// open few files.
const MIN_OPEN: usize = 16;
/// Most concurrent system calls for one guest call.
const MAX_AT_ONCE: usize = 16;
/// Most open files and folders of all calls of the process, if the process may open enough files.
const MAX_OPEN_IN_ALL: usize = 1 << 16;
/// Semaphore over the open files and folders of all calls, and the bound for one call. All calls
/// get at most half of the process's file descriptors, as the process needs others to serve.
static OPEN: LazyLock<(Arc<Semaphore>, usize)> = LazyLock::new(|| {
    let half =
        getrlimit(Bound::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX));
    let all = half.clamp(MIN_OPEN, MAX_OPEN_IN_ALL);
    // Bounded so that one call cannot take all of them.
    (Arc::new(Semaphore::new(all)), (all / 16).clamp(MIN_OPEN, MAX_OPEN))
});

/// Bounds on the files of one call.
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

/// Open resource that is closed on a pool thread, since closing may block.
struct Closing<T: Send + 'static> {
    inner: Option<(T, OpenFilePermits)>,
    lane: Arc<Bulkhead>,
}

/// Permits of an open file: one of its call and one of the process.
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

/// Open file or folder.
pub(crate) struct Node {
    file: Closing<File>,
    is_folder: bool,
}

impl Node {
    fn file(&self) -> io::Result<&File> {
        self.file.get().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files {
    /// Makes a system call for a guest on a pool thread, which may be lost.
    async fn call<T: Send + 'static>(
        &self,
        lane: &Arc<Bulkhead>,
        call: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        // The semaphore is never closed.
        let _place = self.at_once.acquire().await.map_err(|_| FileError::Call(CallError::Lost))?;
        lane.call(call).await.map_err(FileError::Call)?
    }

    /// Takes a permit of the call for an open file, folder or stream.
    fn place(&self) -> Result<OwnedSemaphorePermit, FileError> {
        self.open.clone().try_acquire_owned().map_err(|_| FileError::TooMany(OPEN.1))
    }

    /// Takes the permits of a file to open.
    fn places(&self) -> Result<OpenFilePermits, FileError> {
        let own = self.place()?;
        let all = OPEN.0.clone().try_acquire_owned().map_err(|_| FileError::TooManyInAll)?;
        Ok((own, all))
    }

    /// Opens a granted folder.
    async fn folder(&self, directory: &Directory) -> Result<Arc<Node>, FileError> {
        let lane = THREADS.lane(&Resource::Folder(directory.host.clone()));
        let places = self.places()?;
        let path = directory.host.clone();
        let file = self.call(&lane, move || Ok(system::open_folder(&path)?)).await?;
        Ok(Arc::new(Node { file: Closing { inner: Some((file, places)), lane }, is_folder: true }))
    }

    /// Opens a path beneath a folder.
    async fn open(&self, folder: Arc<Node>, path: String, how: OpenMode) -> Result<Node, FileError> {
        let places = self.places()?;
        let lane = folder.file.lane.clone();
        let opened = self.call(&lane, move || system::open_beneath(folder.file()?, Path::new(&path), how)).await;
        let (file, is_folder) = opened?;
        Ok(Node { file: Closing { inner: Some((file, places)), lane }, is_folder })
    }
}

/// Reads a partition's content: on this thread if the read returns soon, else on a pool thread,
/// which may be lost.
pub(crate) async fn pull(
    content: &Arc<dyn Content>,
    read: impl FnOnce(&dyn Content) -> Result<Bytes, Failure> + Send + 'static,
) -> Result<Bytes, Failure> {
    let Some(number) = content.remote() else { return read(&**content) };
    let lane = THREADS.lane(&Resource::FileSystem(number));
    let content = content.clone();
    lane.call(move || read(&*content)).await.unwrap_or_else(|why| {
        Err(Failure::new(FailureKind::Unavailable, format!("its file system does not answer: {why}")))
    })
}

//! Stream of a file's bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

use super::error::FileError;
use super::system::{self, CHUNK};
use super::threads::now;
use super::{Files, Node};

/// Read that is in progress.
type Reading = Pin<Box<dyn Future<Output = Result<Bytes, FileError>> + Send>>;

/// Stream of an open file's bytes, from an offset.
pub(super) struct FileStream {
    files: Files,
    node: Arc<Node>,
    offset: u64,
    state: State,
    _place: OwnedSemaphorePermit,
}

/// State of a stream that reads a file in the background.
enum State {
    Idle,
    Reading(Reading),
    Read(Bytes),
    Failed(io::Error),
    Closed,
}

impl FileStream {
    pub(super) fn new(files: &Files, node: &Arc<Node>, offset: u64) -> Result<Self, FileError> {
        let _place = files.place()?;
        Ok(Self { files: files.clone(), node: node.clone(), offset, state: State::Idle, _place })
    }

    /// Begins a read, unless one is in progress or the stream has ended.
    fn begin(&mut self, size: usize) {
        if let State::Idle = self.state {
            let files = self.files.clone();
            let node = self.node.clone();
            let offset = self.offset;
            self.state = State::Reading(Box::pin(async move {
                let lane = node.file.lane.clone();
                files.call(&lane, move || Ok(system::read(node.file()?, offset, size as u64)?)).await
            }));
        }
    }

    fn end(&mut self, read: Result<Bytes, FileError>) {
        self.state = match read {
            Ok(bytes) if bytes.is_empty() => State::Closed,
            Ok(bytes) => State::Read(bytes),
            Err(FileError::Io(error)) => State::Failed(error),
            Err(FileError::Call(why)) => State::Failed(io::Error::other(why)),
            Err(other) => State::Failed(io::Error::other(format!("{:?}", other.code()))),
        };
    }
}

#[async_trait]
impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return match self.state {
                State::Closed => Err(StreamError::Closed),
                _ => Ok(Bytes::new()),
            };
        }
        self.begin(size);
        if let State::Reading(reading) = &mut self.state
            && let Some(read) = now(reading.as_mut())
        {
            self.end(read);
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Read(mut bytes) => {
                let part = bytes.split_to(bytes.len().min(size));
                self.offset += part.len() as u64;
                self.state = if bytes.is_empty() { State::Idle } else { State::Read(bytes) };
                Ok(part)
            }
            State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => Err(StreamError::Closed),
            waiting => {
                self.state = waiting;
                Ok(Bytes::new())
            }
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size > 0 {
            self.begin(size);
            self.ready().await;
        }
        self.read(size)
    }
}

#[async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {
        self.begin(CHUNK);
        if let State::Reading(reading) = &mut self.state {
            let read = reading.as_mut().await;
            self.end(read);
        }
    }
}

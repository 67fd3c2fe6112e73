//! Stdout and stderr of a guest, passed to a writer as they arrive.

use std::io::{self, ErrorKind, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use frond_root::sync::lock;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Most bytes per write of a guest.
const WRITE: usize = 64 << 10;

/// Stream to a writer. Clones share the writer.
#[derive(Debug)]
pub(crate) struct Output<W>(Arc<Mutex<W>>);

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W> Output<W> {
    /// Makes a stream to `writer`.
    pub(crate) fn new(writer: W) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Locks the writer.
    pub(crate) fn writer(&self) -> MutexGuard<'_, W> {
        lock(&self.0)
    }
}

impl<W> IsTerminal for Output<W> {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl<W: Write + Send + 'static> StdoutStream for Output<W> {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<W: Send + 'static> Pollable for Output<W> {
    async fn ready(&mut self) {}
}

impl<W: Write + Send + 'static> OutputStream for Output<W> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.writer().write_all(&bytes).map_err(closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.writer().flush().map_err(closed)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

fn closed(error: io::Error) -> StreamError {
    match error.kind() {
        ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

impl<W: Write> tokio::io::AsyncWrite for Output<W> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.writer().write_all(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.writer().flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

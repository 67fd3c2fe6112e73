//! A program, run: a component that exports `wasi:cli/run`, such as the test binary of a guest's crate. It gets
//! arguments, variables and somewhere to write to; of everything else as little as any guest, under the same limits.

use std::io::{ErrorKind, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::{Failure, Limit, Scope, Usage};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{I32Exit, async_trait};

use crate::call::{Call, Running};
use crate::classify::classify;
use crate::component::{LoadError, Origin, Plugin};
use crate::engine::Sandbox;
use crate::grants::CallGrants;
use crate::host::{CallOrigin, nothing_granted};
use crate::inspect::{Misfit, surface};
use crate::limits::Limits;
use crate::log::Log;
use crate::park;

/// How the name of the interface begins: all versions of WASI 0.2 have the same.
const RUN: &str = "wasi:cli/run@0.2.";
/// The most bytes that a program may write in one call.
const WRITE: usize = 64 << 10;

/// Where a program writes.
pub type Sink = Box<dyn Write + Send>;

/// What a program is given.
pub struct Console {
    /// The arguments; the first is the program's own name.
    pub args: Vec<String>,
    /// The environment, whole.
    pub env: Vec<(String, String)>,
    /// Its stdout, as it writes it.
    pub stdout: Sink,
    /// Its stderr, as it writes it.
    pub stderr: Sink,
}

/// A program that is ready to run.
#[derive(Debug)]
pub struct Program {
    plugin: Plugin,
    run: ComponentExportIndex,
}

impl Program {
    /// Loads a program; `metered` ones get fuel.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(sandbox: &Sandbox, bytes: &[u8], metered: bool) -> Result<Self, LoadError> {
        let surface = surface(bytes)?;
        if !surface.exports.iter().any(|export| export.starts_with(RUN)) {
            let mut found: Vec<&str> = surface.exports.iter().take(8).map(String::as_str).collect();
            found.sort_unstable();
            let found = if found.is_empty() { "no interface".to_owned() } else { found.join(", ") };
            let hint = "it is no program: a test binary is one, and so is any crate with a `main`".to_owned();
            return Err(Misfit::WrongExport { wanted: format!("{RUN}x"), found, hint }.into());
        }
        surface.offered()?;
        let plugin = Plugin::load(sandbox, bytes, &[], metered)?;
        match export(plugin.shared().pre.component()) {
            Some(run) => Ok(Self { plugin, run }),
            None => Err(Misfit::Incompatible(format!("{RUN}x lacks the function `run`")).into()),
        }
    }

    /// Whether it was compiled or found compiled.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.plugin.origin()
    }

    /// Runs it on this thread, which needs a tokio runtime entered. Gives its exit code, which WASI 0.2 knows only as 0
    /// and 1, or how it was stopped; and what it used.
    pub fn run(
        &self,
        sandbox: &Sandbox,
        limits: &Limits,
        console: Console,
        time: Duration,
    ) -> (Result<i32, Box<Failure>>, Usage) {
        let (watch, waker) = (sandbox.clock().watch(), park::waker());
        let deadline = Instant::now() + time;
        let place = match self.plugin.merge_permits().wait(Some(&waker), deadline, || None) {
            Ok(place) => place,
            Err(stop) => return (Err(Box::new(classify(&stop.into()))), Usage::default()),
        };
        let call = Call {
            plugin: &self.plugin,
            ready: self.plugin.shared(),
            place: &place,
            limits,
            scope: Scope::RunTest,
            deadline,
            time: Some(Limit::time(Scope::RunTest, time)),
            until: deadline,
            granted: CallGrants::Nothing,
            seed: None,
            watch: &watch,
            waker: Some(&waker),
        };
        let mut wasi = nothing_granted(&Log::new(0), None);
        wasi.args(&console.args)
            .envs(&console.env)
            .stdout(OutputPipe(Arc::new(Mutex::new(console.stdout))))
            .stderr(OutputPipe(Arc::new(Mutex::new(console.stderr))));
        let wasi = wasi.build();
        let called = call.run_with(
            CallOrigin::Other(Arc::default()),
            |store| {
                store.data_mut().give(wasi);
                Ok(())
            },
            async |running| self.exit_code(running).await,
        );
        (called.result, called.usage)
    }

    async fn exit_code(&self, mut running: Running<'_>) -> wasmtime::Result<Result<i32, Failure>> {
        let returned = running.call::<(), (Result<(), ()>,)>(&self.run, ()).await;
        match returned {
            Ok((ended,)) => Ok(Ok(i32::from(ended.is_err()))),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(Ok(exit.0)),
                None => Err(error),
            },
        }
    }
}

fn export(component: &Component) -> Option<ComponentExportIndex> {
    let ty = component.component_type();
    let mut names = ty.exports(component.engine()).map(|(name, _)| name.to_owned());
    let name = names.find(|name| name.starts_with(RUN))?;
    let interface = component.get_export_index(None, &name)?;
    match component.get_export(Some(&interface), "run")? {
        (ComponentItem::ComponentFunc(func), run) => {
            let fits = !func.async_() && func.params().len() == 0 && func.results().len() == 1;
            fits.then_some(run)
        }
        _ => None,
    }
}

/// Output that is handed on as it comes. Clones write to the same place.
#[derive(Clone)]
struct OutputPipe(Arc<Mutex<Sink>>);

impl OutputPipe {
    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for OutputPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputPipe {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for OutputPipe {
    async fn ready(&mut self) {}
}

impl OutputStream for OutputPipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.sink().write_all(&bytes).map_err(closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.sink().flush().map_err(closed)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

fn closed(error: std::io::Error) -> StreamError {
    match error.kind() {
        ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

impl tokio::io::AsyncWrite for OutputPipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(self.sink().write_all(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(self.sink().flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

//! Programs: components that export `wasi:cli/run`, such as the test binary of a guest's crate. A
//! program gets arguments, environment variables, and streams for its output. In everything else it
//! is confined as any guest without grants, under the same limits.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use frond_root::call::Limits;
use frond_root::{Failure, Limit, Scope, Usage};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex};
use wasmtime_wasi::I32Exit;

use crate::call::{Call, Running};
use crate::classify::classify;
use crate::component::{Origin, Plugin};
use crate::engine::Sandbox;
use crate::grants::CallGrants;
use crate::host::{CallOrigin, nothing_granted};
use crate::inspect::{Misfit, surface};
use crate::load_error::LoadError;
use crate::log::Log;
use crate::output::Output;
use crate::park::Driver;
use crate::permits::MergeOwner;
use crate::tuning::Metering;

/// Prefix of the interface's name, common to all versions of WASI 0.2.
const RUN: &str = "wasi:cli/run@0.2.";

/// Stream that receives a program's output.
pub type Sink = Box<dyn Write + Send>;

/// Arguments, environment and output streams of a program.
pub struct Console {
    /// Arguments; the first is the program's name.
    pub args: Vec<String>,
    /// Complete environment.
    pub env: Vec<(String, String)>,
    /// Receiver of the program's stdout, unbuffered.
    pub stdout: Sink,
    /// Receiver of the program's stderr, unbuffered.
    pub stderr: Sink,
}

/// Program that is ready to run.
#[derive(Debug)]
pub struct Program {
    plugin: Plugin,
    run: ComponentExportIndex,
}

impl Program {
    /// Loads a program.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(sandbox: &Sandbox, bytes: &[u8], metering: Metering) -> Result<Self, LoadError> {
        let surface = surface(bytes)?;
        if !surface.exports.iter().any(|export| export.starts_with(RUN)) {
            let mut found: Vec<&str> = surface.exports.iter().take(8).map(String::as_str).collect();
            found.sort_unstable();
            let found = if found.is_empty() { "no interface".to_owned() } else { found.join(", ") };
            let hint = "it is not a program: a test binary is one, and so is a crate with a `main`".to_owned();
            return Err(Misfit::WrongExport { wanted: format!("{RUN}x"), found, hint }.into());
        }
        surface.offered()?;
        let plugin = Plugin::load(sandbox, bytes, &[], metering)?;
        match export(plugin.shared().pre.component()) {
            Some(run) => Ok(Self { plugin, run }),
            None => Err(Misfit::Incompatible(format!("{RUN}x lacks the function `run`")).into()),
        }
    }

    /// Returns the source of the code: the compiler or the cache.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.plugin.origin()
    }

    /// Runs the program on this thread, inside a tokio runtime context. Returns its exit code,
    /// which WASI 0.2 knows only as 0 and 1, or the failure that stopped it; and its usage.
    pub fn run(
        &self,
        sandbox: &Sandbox,
        limits: &Limits,
        console: Console,
        time: Duration,
    ) -> (Result<i32, Box<Failure>>, Usage) {
        let driver = Driver::new(sandbox.clock().watch());
        let deadline = Instant::now() + time;
        let place = match self.plugin.merge_permits().wait(&MergeOwner::default(), &driver, deadline) {
            Ok(place) => place,
            Err(stop) => return (Err(Box::new(classify(&stop.into()))), Usage::default()),
        };
        let call = Call {
            plugin: &self.plugin,
            ready: self.plugin.shared(),
            limits,
            scope: Scope::RunTest,
            deadline,
            time: Some(Limit::time(Scope::RunTest, time)),
            until: deadline,
            granted: CallGrants::Nothing,
            seed: None,
            probe: None,
            waits: true,
        };
        let mut wasi = nothing_granted(&Log::new(0), None);
        wasi.args(&console.args)
            .envs(&console.env)
            .stdout(Output::new(console.stdout))
            .stderr(Output::new(console.stderr));
        let wasi = wasi.build();
        let called = call.run_with(
            (&driver, &place),
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

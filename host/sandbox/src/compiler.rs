//! Compiler of components: child processes with limits on memory, processor time and wall time.
//!
//! A component of a megabyte can keep a compiler busy for minutes and cost gigabytes. A separate
//! process bounds that for any component, and can be killed. [`child`] is the child's side;
//! `weigh.rs` refuses components that are known to be too costly before they are compiled.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use frond_root::sync::lock;
use tokio_util::sync::CancellationToken;

use crate::load_error::LoadError;
use crate::tuning::Tuning;

pub mod child;
mod limits;
mod spawn;
pub(crate) mod weigh;

pub use limits::CompileLimits;
use spawn::Refusal;

/// Compiler of components. Clones, and compilers made by [`Compiler::apart`], share the limit on
/// concurrent compilations.
#[derive(Clone, Debug)]
pub struct Compiler {
    shared: Arc<Shared>,
    stopped: CancellationToken,
}

/// Compiler as its callers share it.
#[derive(Debug)]
struct Shared {
    /// Program whose verb `compile` is the child; `None` compiles in this process, without limits.
    program: Option<PathBuf>,
    limits: CompileLimits,
    running: Mutex<Running>,
    changed: Condvar,
}

/// Running compilations, and the callers that wait for their turn.
#[derive(Debug, Default)]
struct Running {
    /// Keys of the components that are being compiled: digest and engine.
    keys: HashSet<String>,
    /// Waiting callers, in order of arrival.
    waiting: VecDeque<(u64, String)>,
    /// Number of the next waiting caller.
    next: u64,
}

impl Running {
    /// Returns true for the first waiting caller whose component is not being compiled.
    fn is_first(&self, number: u64) -> bool {
        let first = self.waiting.iter().find(|(_, key)| !self.keys.contains(key));
        first.is_some_and(|(first, _)| *first == number)
    }
}

/// Permit to compile one component. Its drop lets the next compilation begin.
pub(crate) struct Permit<'a> {
    compiler: &'a Compiler,
    key: String,
}

impl Compiler {
    /// Makes a compiler that uses child processes: `program compile` must call [`child::run`].
    #[must_use]
    pub fn in_children(program: PathBuf, limits: CompileLimits) -> Self {
        Self::new(Some(program), limits)
    }

    /// Makes a compiler that runs in this process, one component at a time and without limits: for
    /// trusted components.
    #[must_use]
    pub fn in_process() -> Self {
        Self::new(None, CompileLimits { at_once: NonZeroUsize::MIN, ..CompileLimits::default() })
    }

    fn new(program: Option<PathBuf>, limits: CompileLimits) -> Self {
        let shared = Shared { program, limits, running: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared), stopped: CancellationToken::new() }
    }

    /// Makes a compiler with the same limits and permits, but with a separate [`Compiler::stop`].
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { shared: self.shared.clone(), stopped: CancellationToken::new() }
    }

    /// Returns the limits of one compilation.
    #[must_use]
    pub fn limits(&self) -> &CompileLimits {
        &self.shared.limits
    }

    /// Kills the running compilations of this compiler and refuses further ones.
    pub fn stop(&self) {
        self.stopped.cancel();
        let _running = self.running();
        self.shared.changed.notify_all();
    }

    /// Waits for a permit (FIFO queue). A component is never compiled twice at the same time.
    ///
    /// # Errors
    /// [`LoadError::Stopped`] after [`Compiler::stop`].
    pub(crate) fn permit(&self, key: String) -> Result<Permit<'_>, LoadError> {
        let mut running = self.running();
        let number = running.next;
        running.next += 1;
        running.waiting.push_back((number, key.clone()));
        loop {
            let is_stopped = self.stopped.is_cancelled();
            let is_free = running.keys.len() < self.shared.limits.at_once.get() && running.is_first(number);
            if is_stopped || is_free {
                running.waiting.retain(|(one, _)| *one != number);
                // The next caller may be free to go, too.
                self.shared.changed.notify_all();
            }
            if is_stopped {
                return Err(LoadError::Stopped);
            }
            if is_free {
                running.keys.insert(key.clone());
                return Ok(Permit { compiler: self, key });
            }
            running = self.shared.changed.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        lock(&self.shared.running)
    }
}

impl Permit<'_> {
    /// Compiles a component for engines of this tuning. Returns code for
    /// [`wasmtime::component::Component::deserialize`], or the component's fault as a [`Refusal`].
    ///
    /// # Errors
    /// If the machine cannot run the compiler, or the process is ending.
    pub(crate) fn compile(&self, tuning: Tuning, bytes: &[u8]) -> Result<Result<Vec<u8>, Refusal>, LoadError> {
        let Compiler { shared, stopped } = self.compiler;
        match &shared.program {
            Some(program) => spawn::compile(program, &shared.limits, stopped, tuning, bytes),
            None => {
                let compiled = child::compile(tuning, bytes).map_err(LoadError::Engine)?;
                Ok(compiled.map_err(|misfit| Refusal { misfit, is_lasting: false }))
            }
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.compiler.running().keys.remove(&self.key);
        self.compiler.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;

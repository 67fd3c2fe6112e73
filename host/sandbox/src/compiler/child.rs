//! Child process of the compiler: reads a component and answers with its code, under limits that it
//! sets before it reads the first byte.

use std::io::{self, Read};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use wasmtime::Engine;

use crate::compiler::weigh::weigh;
use crate::escape::clip;
use crate::inspect::{MAX_SIZE, Misfit, proposals};
use crate::tuning::{Metering, Tuning};

/// Most bytes of compiled code: the parent holds it in memory. The largest known code, of a
/// componentize-py guest, has some 60 MB.
pub(super) const MAX_CODE: u64 = 256 << 20;

/// Last byte of the answer: compiled code.
pub(super) const CODE: u8 = b'c';
/// Last byte of the answer: the text of [`Misfit::Broken`].
pub(super) const BROKEN: u8 = b'b';
/// Last byte of the answer: the text of [`Misfit::TooDemanding`].
pub(super) const TOO_DEMANDING: u8 = b'd';
/// Last byte of the answer: the text of [`Misfit::TooCostly`].
pub(super) const TOO_COSTLY: u8 = b'e';
/// Last byte of the answer: the text of [`Misfit::Proposals`].
pub(super) const PROPOSALS: u8 = b'p';
/// Last byte of the answer: the reason why there is no engine.
pub(super) const ENGINE: u8 = b'm';

/// Orders of the parent, as arguments of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    /// True for code that counts fuel.
    pub metering: Metering,
    /// Bytes of address space for a memory, for engines without a pool.
    pub frugal: Option<u64>,
    /// Bytes of private memory that the child may take.
    pub memory: u64,
    /// Processor time that the child may take.
    pub cpu: Duration,
    /// Nice value that the child adds to its own.
    pub nice: u8,
}

/// Compiles the component in `input` under the parent's orders. Returns the answer for the parent,
/// which the caller writes to stdout.
///
/// # Errors
/// If a limit cannot be set, or the pipe breaks.
pub fn run(orders: Orders, input: impl Read) -> io::Result<Vec<u8>> {
    confine(orders)?;
    let mut bytes = Vec::new();
    input.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    let (kind, mut body) = answer(orders, &bytes);
    body.push(kind);
    Ok(body)
}

/// Sets the limits, and makes the kernel end this process with its parent.
fn confine(orders: Orders) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let limit = |resource, most: u64| {
        let rlimit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, rlimit).map_err(io::Error::from)
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Data, orders.memory)?;
    // CPU limits have whole seconds. The soft limit ends the process by SIGXCPU, which tells the
    // parent the reason.
    let seconds = orders.cpu.as_secs().max(1);
    let cpu = Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) };
    setrlimit(Resource::Cpu, cpu)?;
    // A failure leaves the ordinary priority.
    let _ = rustix::process::nice(i32::from(orders.nice));
    Ok(())
}

fn answer(orders: Orders, bytes: &[u8]) -> (u8, Vec<u8>) {
    let tuning = Tuning { metering: orders.metering, frugal: orders.frugal };
    match compile(tuning, bytes) {
        Ok(Ok(code)) if code.len() as u64 > MAX_CODE => (TOO_COSTLY, oversized(code.len()).into_bytes()),
        Ok(Ok(code)) => (CODE, code),
        Ok(Err(Misfit::Broken(why))) => (BROKEN, why.into_bytes()),
        Ok(Err(Misfit::TooCostly(why))) => (TOO_COSTLY, why.into_bytes()),
        Ok(Err(Misfit::TooDemanding(why))) => (TOO_DEMANDING, why.into_bytes()),
        Ok(Err(Misfit::Proposals(why))) => (PROPOSALS, why.into_bytes()),
        Ok(Err(other)) => (BROKEN, other.to_string().into_bytes()),
        Err(why) => (ENGINE, why.into_bytes()),
    }
}

/// Message for compiled code over [`MAX_CODE`].
fn oversized(size: usize) -> String {
    format!(
        "its compiled code has {size} bytes, and the limit is {MAX_CODE}\n(build it with optimisation, or leave out what it does not use)"
    )
}

/// Validates a component, weighs it, and compiles it for engines of this tuning. The inner error is
/// the component's fault.
///
/// # Errors
/// If this machine cannot make an engine, as text.
pub(super) fn compile(tuning: Tuning, bytes: &[u8]) -> Result<Result<Vec<u8>, Misfit>, String> {
    match weigh(bytes) {
        // A disabled proposal makes a component invalid, too, and has a better message.
        Err(broken @ Misfit::Broken(_)) => return Ok(Err(proposals::misfit(bytes).unwrap_or(broken))),
        Err(costly) => return Ok(Err(costly)),
        Ok(()) => {}
    }
    let engine = Engine::new(&tuning.config()).map_err(|error| clip(&format!("{error:#}")))?;
    let compiled = engine.precompile_component(bytes);
    Ok(compiled.map_err(|error| {
        if is_out_of_memory(&error) {
            Misfit::TooCostly(NO_MEMORY.to_owned())
        } else {
            proposals::misfit(bytes).unwrap_or_else(|| Misfit::TooDemanding(clip(&format!("{error:#}"))))
        }
    }))
}

/// Message for an allocation that the system refused and the compiler reported as an error.
const NO_MEMORY: &str =
    "compiling it takes more memory than there is\n(build it smaller, or raise FROND_COMPILE_MEMORY)";

fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        let system = cause.downcast_ref::<io::Error>().is_some_and(|one| one.kind() == io::ErrorKind::OutOfMemory);
        system || cause.downcast_ref::<rustix::io::Errno>() == Some(&rustix::io::Errno::NOMEM)
    })
}

//! Classification of failed calls: maps wasmtime's error to one of the failure slugs, by type and
//! never by text.

use frond_root::failure::{CANCELLED, TIME_UP, WAIT_OVER};
use frond_root::{Bound, Failure, FailureKind};
use rustc_demangle::demangle;
use wasmtime::{OutOfMemory, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::escape::{clean, clip};
use crate::inspect::Misfit;

/// Message for a trap that a guest makes on purpose.
pub(crate) const PANICKED: &str = "panicked or aborted";
/// Most frames of a backtrace in a failure.
const MAX_FRAMES: usize = 32;
/// Most bytes of a frame: a guest chooses the length of its names.
pub(crate) const MAX_FRAME: usize = 256;
/// Reason why the host itself stops a guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("{TIME_UP}")]
    Time,
    #[error("{WAIT_OVER}")]
    Late,
    #[error("{CANCELLED}")]
    Cancelled,
    #[error("asked for {wanted} bytes of memory")]
    Memory { wanted: u64 },
    #[error("asked for {wanted} table elements")]
    Tables { wanted: u64 },
    #[error("{what} could not grow: {why}")]
    Growth { what: &'static str, why: String },
    #[error("{what} could not grow: {why}")]
    Machine { what: &'static str, why: String },
    #[error("{what} of {size} bytes")]
    Output { what: &'static str, size: u64 },
    #[error("made too many calls to the host")]
    HostCalls,
    #[error("{0}")]
    Misuse(&'static str),
    #[error("{0}")]
    Content(Failure),
}

impl Stop {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Time | Self::Late => FailureKind::OutOfTime,
            Self::Cancelled => FailureKind::Cancelled,
            Self::Memory { .. } | Self::Tables { .. } | Self::Growth { .. } => FailureKind::OutOfMemory,
            Self::Output { .. } => FailureKind::OutputTooLarge,
            Self::Machine { .. } => FailureKind::Overloaded,
            Self::HostCalls => FailureKind::HostCallDenied,
            Self::Misuse(_) => FailureKind::Trap,
            Self::Content(failure) => failure.kind,
        }
    }

    /// Returns the bound of the exceeded limit; `None` if no limit that is set for the call was
    /// exceeded.
    fn bound(&self) -> Option<Bound> {
        match self {
            Self::Time => Some(Bound::Time),
            Self::Memory { .. } => Some(Bound::Memory),
            Self::Tables { .. } => Some(Bound::TableElements),
            Self::Output { .. } => Some(Bound::Output),
            Self::HostCalls => Some(Bound::HostCalls),
            Self::Late | Self::Cancelled | Self::Growth { .. } | Self::Machine { .. } => None,
            Self::Misuse(_) | Self::Content(_) => None,
        }
    }
}

/// Returns the failure that `error` stands for.
pub(crate) fn classify(error: &wasmtime::Error) -> Failure {
    classify_at(error, None).0
}

/// Returns the failure that `error` stands for, and the bound of the exceeded limit, if any.
/// `cut_off_at` is the backtrace of a guest that was stopped in a host call.
pub(crate) fn classify_at(error: &wasmtime::Error, cut_off_at: Option<&WasmBacktrace>) -> (Failure, Option<Bound>) {
    let mut bound = None;
    let (kind, message) = if let Some(stop) = error.downcast_ref::<Stop>() {
        match stop {
            Stop::Content(failure) => return (failure.clone(), None),
            _ => {
                bound = stop.bound();
                (stop.kind(), stop.to_string())
            }
        }
    } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
        (FailureKind::Trap, exited(exit))
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        bound = match trap {
            Trap::OutOfFuel => Some(Bound::Fuel),
            Trap::Interrupt => Some(Bound::Time),
            _ => None,
        };
        of_trap(*trap)
    } else if let Some(misfit) = error.downcast_ref::<Misfit>() {
        (FailureKind::Incompatible, misfit.to_string())
    } else if error.is::<PoolConcurrencyLimitError>() {
        (FailureKind::Overloaded, "found no free place in the instance pool".to_owned())
    } else if let Some(refusal) = refused_by_machine(error) {
        (FailureKind::Overloaded, refusal)
    } else {
        (FailureKind::Trap, clip(&error.root_cause().to_string()))
    };
    let trace = error.downcast_ref::<WasmBacktrace>().or(cut_off_at);
    let backtrace = trace.map(backtrace).unwrap_or_default();
    (Failure { backtrace, ..Failure::new(kind, message) }, bound)
}

/// Returns the message for an error of the operating system, such as a machine without memory. A
/// guest cannot cause one: it meets its own limits first.
pub(crate) fn refused_by_machine(error: &wasmtime::Error) -> Option<String> {
    let code = error.chain().find_map(|cause| {
        let of_rustix = cause.downcast_ref::<rustix::io::Errno>().map(|error| error.raw_os_error());
        of_rustix.or_else(|| cause.downcast_ref::<std::io::Error>()?.raw_os_error())
    });
    let system = code.map(std::io::Error::from_raw_os_error);
    let is_memory = error.is::<OutOfMemory>()
        || system.as_ref().is_some_and(|error| error.kind() == std::io::ErrorKind::OutOfMemory);
    match system {
        _ if is_memory => {
            Some("this machine has no memory left for the call (see `ulimit -v`, and the container's limit)".to_owned())
        }
        error => error.map(|error| format!("this machine does not let the call run: {error}")),
    }
}

/// Describes an exit. WASI 0.2 distinguishes only success from failure: the host sees 1 for any
/// failure code.
fn exited(exit: &I32Exit) -> String {
    match exit.0 {
        0 => "called exit with success".to_owned(),
        _ => "called exit with a failure".to_owned(),
    }
}

fn of_trap(trap: Trap) -> (FailureKind, String) {
    match trap {
        Trap::OutOfFuel => (FailureKind::OutOfFuel, "used up its fuel".to_owned()),
        Trap::Interrupt => (FailureKind::OutOfTime, Stop::Time.to_string()),
        Trap::UnreachableCodeReached => {
            (FailureKind::Trap, format!("{PANICKED} (wasm `unreachable` instruction executed)"))
        }
        Trap::StackOverflow => {
            (FailureKind::Trap, format!("{trap}: functions call each other too deeply, or without end"))
        }
        Trap::MemoryOutOfBounds => (FailureKind::Trap, format!("{trap}: a wrong pointer, or a stack that is used up")),
        Trap::IndirectCallToNull | Trap::TableOutOfBounds | Trap::BadSignature => {
            (FailureKind::Trap, format!("{trap}: called what is no function of that type, such as a null pointer"))
        }
        other => (FailureKind::Trap, other.to_string()),
    }
}

/// Returns the demangled names of the guest's functions, innermost first.
fn backtrace(trace: &WasmBacktrace) -> Vec<String> {
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => clean(format_args!("{:#}", demangle(name)), MAX_FRAME),
        None => format!("function {}", frame.func_index()),
    };
    trace.frames().iter().take(MAX_FRAMES).map(name).collect()
}

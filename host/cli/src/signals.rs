//! Signals that ask the process to end. Signals that the parent had this process ignore stay
//! ignored: `nohup` does so with SIGHUP, and a shell with SIGINT for background processes.

use std::io;
use std::thread;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::MachineFault;

/// Streams of the signals that ask for an end.
pub(crate) struct Endings {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Endings {
    /// Handles Ctrl-C and SIGTERM on the current runtime from now on: they no longer end the
    /// process.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::subscribe(false).context(MachineFault::new("signal handlers cannot be installed"))
    }

    fn subscribe(hangup: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: unless_ignored(SignalKind::interrupt())?,
            terminate: unless_ignored(SignalKind::terminate())?,
            hangup: if hangup { unless_ignored(SignalKind::hangup())? } else { None },
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = next(&mut self.interrupt) => {}
            () = next(&mut self.terminate) => {}
            () = next(&mut self.hangup) => {}
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending().await
    }
}

/// Calls `act` on a separate thread at each Ctrl-C, SIGTERM and SIGHUP from now on.
///
/// # Errors
/// When the signal handlers cannot be installed, or no thread can be started.
pub(crate) fn at_each_ending(act: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut endings = Endings::subscribe(true)?;
        drop(entered);
        let watch = async move {
            loop {
                endings.next().await;
                act();
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(watch))
    };
    start().map(|_: thread::JoinHandle<()>| ()).context(MachineFault::new("signal handlers cannot be installed"))
}

fn unless_ignored(kind: SignalKind) -> io::Result<Option<Signal>> {
    if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) }
}

/// Returns true if the process ignores the signal. Only its parent can have set that.
#[expect(unsafe_code, reason = "no safe interface asks for a signal's disposition without changing it")]
fn is_ignored(kind: SignalKind) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no action is set, and `found` has room for the old one. If the call fails, all zeros
    // are a valid `sigaction`.
    let found = unsafe {
        libc::sigaction(kind.as_raw_value(), std::ptr::null(), found.as_mut_ptr());
        found.assume_init()
    };
    found.sa_sigaction == libc::SIG_IGN
}

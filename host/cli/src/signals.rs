//! Signals that end what a verb does: those that this process was not started to ignore, as `nohup` has it ignore SIGHUP,
//! and a shell SIGINT for what it starts in the background.

use std::io;
use std::thread;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::MachineFault;

/// Signals that ask for an end.
pub(crate) struct Endings {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Endings {
    /// Hears Ctrl-C and SIGTERM from now on, on the runtime that is entered: they no longer end the process.
    ///
    /// # Errors
    /// A machine that does not let signals be heard.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::heard(false).context(MachineFault::new("interrupts could not be taken over"))
    }

    fn heard(hangup: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: unless_ignored(SignalKind::interrupt())?,
            terminate: unless_ignored(SignalKind::terminate())?,
            hangup: if hangup { unless_ignored(SignalKind::hangup())? } else { None },
        })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = next(&mut self.interrupt) => {}
            () = next(&mut self.terminate) => {}
            () = next(&mut self.hangup) => {}
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    let heard = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending().await
    }
}

/// Calls `act` at each Ctrl-C, SIGTERM and SIGHUP from now on, on a thread of its own.
///
/// # Errors
/// A machine that does not let signals be heard, or no thread start.
pub(crate) fn at_each_ending(act: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut endings = Endings::heard(true)?;
        drop(entered);
        let hear = async move {
            loop {
                endings.next().await;
                act();
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(hear))
    };
    start().map(|_: thread::JoinHandle<()>| ()).context(MachineFault::new("interrupts could not be taken over"))
}

fn unless_ignored(kind: SignalKind) -> io::Result<Option<Signal>> {
    if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) }
}

/// True for a signal that the process ignores. Only its parent can have wanted that.
#[expect(unsafe_code, reason = "no safe interface asks for a signal's disposition without changing it")]
fn is_ignored(kind: SignalKind) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set, and `found` has room for what is; all zeros are a valid `sigaction` should the call fail.
    let found = unsafe {
        libc::sigaction(kind.as_raw_value(), std::ptr::null(), found.as_mut_ptr());
        found.assume_init()
    };
    found.sa_sigaction == libc::SIG_IGN
}

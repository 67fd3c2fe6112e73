//! Life of a worker process of this machine, behind the second wall.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use frond_broker::Introduction;
use frond_broker::carrier::over_stream;
use frond_broker::session::Settings;
use frond_broker::worker::serve;
use frond_root::CancellationToken;
use frond_root::call::Grants;
use frond_wall::Wall;

use crate::error::RunError;
use crate::isolated::missing;
use crate::machine::Machine;
use crate::workers::{WorkerLeaves, engine};

/// Orders of a worker process, on its command line.
#[derive(Clone, Debug)]
pub struct ProcessOrders {
    /// Process number of the parent.
    pub parent: u32,
    /// Its name, for people.
    pub name: String,
    /// The most leaves at once.
    pub slots: u16,
    /// The most private memory, in bytes.
    pub memory: u64,
    /// True if it must not run with a part of the second wall missing.
    pub needs_wall: bool,
}

/// Life of a worker process, from its start to its end.
///
/// # Errors
/// A [`RunError::Machine`] if the wall cannot be entered, is not whole although the orders need
/// that, or the machine denies a resource.
pub fn run_process(orders: ProcessOrders) -> Result<(), RunError> {
    let ProcessOrders { parent, name, slots, memory, needs_wall } = orders;
    let wrong = |error: io::Error| RunError::machine("the worker process has no socket to its parent", error);
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(wrong)?;
    let socket = UnixStream::from(socket);
    socket.set_nonblocking(true).map_err(wrong)?;
    let entered = Wall::new(parent, memory).enter();
    let report = entered.map_err(|error| RunError::machine("the second wall could not be set up", error))?;
    if needs_wall && !report.is_enforced() {
        return Err(RunError::machine("the second wall has a gap", missing(&report)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| RunError::machine("the runtime could not be started", error))?;
    let machine = Arc::new(Machine::new(usize::from(slots))?);
    // The session with the root, and the root itself, go first: leaves wait for both.
    let threads = machine.start_with(runtime.handle(), true)?;
    let waiting = u32::try_from(threads.room_to_wait()).unwrap_or(u32::MAX);
    let introduction = Introduction { name, slots: u32::from(slots), waiting, engine: engine(), files: None };
    let loader = Arc::new(WorkerLeaves::new(machine, threads, Grants::default(), true).running_unmetered());
    runtime.block_on(async move {
        let socket = tokio::net::UnixStream::from_std(socket).map_err(wrong)?;
        serve(over_stream(socket), Settings::of_process(), &introduction, loader, CancellationToken::new()).await;
        Ok::<(), RunError>(())
    })?;
    // A leaf may still run.
    runtime.shutdown_background();
    Ok(())
}

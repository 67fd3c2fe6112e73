//! Worker processes for apps whose leaves must not run in this process.

use std::sync::OnceLock;
use std::time::Duration;

use frond_broker::Workers;
use frond_broker::session::Settings;
use frond_root::call::Isolation;
use frond_wall::{Report, State, offered};
use tokio::runtime::Handle;

use crate::error::RunError;
use crate::processes::{ProcessSettings, Processes};

/// Time in which processes usually join many times over.
const PATIENCE: Duration = Duration::from_millis(500);

/// Worker processes for the leaves of such apps.
pub(crate) struct Isolated {
    workers: Workers,
    _processes: Processes,
}

impl Isolated {
    /// Starts the processes and spares for them, and waits until they have joined, for half a
    /// second at most. Not to be called by a task of the runtime.
    ///
    /// # Errors
    /// A [`RunError::Machine`] if a thread that watches one cannot be started.
    pub(crate) fn start(count: usize, spares: usize, runtime: &Handle) -> Result<Self, RunError> {
        let _entered = runtime.enter();
        let workers = Workers::new(0, Settings::of_process());
        let settings = ProcessSettings { name: "isolated", count, spares, needs_wall: wall().is_enforced() };
        let processes = Processes::start(&settings, &workers)?;
        // The first plan counts their slots.
        runtime.block_on(workers.joined(count, PATIENCE));
        Ok(Self { workers, _processes: processes })
    }

    /// The processes as workers.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }
}

/// Checks that this kernel offers what the isolation needs. Returns a warning if it lacks a part
/// that is only wanted.
///
/// # Errors
/// A [`RunError::Machine`] if it lacks a part that is required.
pub(crate) fn check(isolation: Isolation) -> Result<Option<String>, RunError> {
    match isolation {
        Isolation::Thread => Ok(None),
        Isolation::Process | Isolation::WalledProcess if wall().is_enforced() => Ok(None),
        Isolation::Process => {
            Ok(Some(format!("the second wall of worker processes has a gap on this kernel: {}", missing(wall()))))
        }
        Isolation::WalledProcess => Err(RunError::machine(
            "`leaf.isolation` requires the whole second wall, which this kernel does not offer",
            missing(wall()),
        )),
    }
}

/// The parts of the wall that this kernel offers. It is asked once.
fn wall() -> &'static Report {
    static OFFERED: OnceLock<Report> = OnceLock::new();
    OFFERED.get_or_init(offered)
}

/// The missing parts of the wall, in words.
pub(crate) fn missing(report: &Report) -> String {
    let missing = report.parts.iter().filter(|part| part.state == State::Missing);
    missing.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

//! Simulator of queries: an event heap over the root's own decisions.
//!
//! The gather, the scatter with its shares and cuts, the ledgers, the order of claims, the credits
//! of workers and admission are those of `frond-root`: here is no second copy of any rule. Leaves
//! are times from a distribution, slots are numbers, and the clock is virtual, so a simulation
//! needs no thread, no socket and no time. The same seed gives the same result bit for bit, on
//! every machine.
//!
//! A [`World`] says what is simulated, [`simulate`] runs it, and a [`SimReport`] is the result.
//! [`record`] gives the events of one of the queries, as recordings hold them, and [`replayed`]
//! makes a world of a recording.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

mod agenda;
mod distribution;
mod file;
mod leaf;
mod message;
mod places;
mod problem;
mod random;
mod replay;
mod run;
mod setup;
mod sight;
mod simulation;
mod slab;
mod totals;
mod world;

use frond_root::Event;
use frond_root::ledger::PartialRange;

use setup::Setup;
use simulation::Simulation;

pub use distribution::Distribution;
pub use file::{MAX_FILE, parse};
pub use problem::Problem;
pub use random::Random;
pub use replay::{RecordedRun, replayed};
pub use setup::Asker;
pub use sight::{Fault, Observer, Sight};
pub use totals::{FaultTally, Outcomes, Quantiles, SimReport, Slowest};
pub use world::{
    ArrivalsTable, ClusterTable, FaultsTable, PiecesTable, QueryTable, SlowTable, StopTable, Weight, WorkerTable, World,
};

/// Simulates a world.
///
/// # Errors
/// The first key whose value breaks its rule.
pub fn simulate(world: &World) -> Result<SimReport, Problem> {
    observe(world, &mut ())
}

/// Simulates a world, and has `observer` see each step.
///
/// # Errors
/// See [`simulate`].
pub fn observe(world: &World, observer: &mut impl Observer) -> Result<SimReport, Problem> {
    resume(world, &[], observer)
}

/// Simulates a world in which the first query is a further run of a job, of which the journal has
/// these partials: of whole partitions, or of the units of parts of them.
///
/// # Errors
/// See [`simulate`].
pub fn resume(
    world: &World,
    stored: &[(u32, Option<PartialRange>)],
    observer: &mut impl Observer,
) -> Result<SimReport, Problem> {
    world.check()?;
    Ok(Simulation::new(Setup::new(world, stored), observer, None).run().0.report())
}

/// Simulates a world, and returns the events of one query, as recordings hold them.
///
/// # Errors
/// See [`simulate`].
pub fn record(world: &World, query: u64) -> Result<Vec<Event>, Problem> {
    world.check()?;
    Ok(Simulation::new(Setup::new(world, &[]), &mut (), Some(query)).run().1)
}

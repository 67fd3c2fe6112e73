//! Runs an app: the only place where an app's files, the sandbox and the root meet.
//!
//! 1. [`load`](mod@load): compiles a package's components, or loads them from the cache, under the
//!    limits of its `frond.toml`.
//! 2. [`wire`](mod@wire): puts them behind the root's seams, with slots to run leaves on.
//! 3. [`ask`](mod@ask): runs one query: plan, scatter, gather, merge, answer.
//!
//! [`workers`] has leaves run by other processes, here and on other hosts; [`processes`] starts
//! those here, and [`worker_process`] is the life of one. [`crew`] is all that a root has of both.
//!
//! [`machine`] is shared by all apps of a process. [`compile`] bounds the cost of compiling
//! components, and [`cache`] keeps them compiled. [`laws`] records whether the answers of an app's
//! merge depend on the order of arrival.
//!
//! The command line, the tests of plugins and the server all use this crate, so that they run the
//! same code.

pub mod ask;
pub mod cache;
pub mod compile;
pub mod crew;
mod env;
pub mod envelope;
pub mod error;
mod isolated;
pub mod laws;
pub mod load;
pub mod machine;
pub mod planning;
pub mod processes;
pub mod wire;
pub mod worker_process;
pub mod workers;

pub use ask::{Question, Replan, answer, ask, plan};
pub use compile::{compile_in_children, compiler};
pub use crew::{Crew, CrewSettings};
pub use envelope::envelope;
pub use error::RunError;
pub use frond_broker::nats::{NatsError, Options as BrokerOptions, check_pool, read_secret};
pub use frond_broker::{Tally as WorkerTally, WorkerState, WorkerView};
pub use frond_sandbox::Role;
pub use frond_sandbox::compiler::child::{Orders as CompileOrders, run as compile_as_child};
pub use frond_sandbox::file_calls;
pub use frond_sandbox::inspect::MAX_SIZE;
pub use frond_sandbox::private_folder;
pub use frond_sandbox::{Slots, WaitLimits};
pub use frond_tls::Trust;
pub use load::{Components, Loading, load};
pub use machine::{MAX_SLOTS, Machine, usual_slots};
pub use processes::USUAL_SPARES;
pub use wire::{Wired, wire};

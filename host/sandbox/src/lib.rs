//! Sandbox for guest calls: bounds everything that a guest can do, and reports every way in which a
//! call can end as one of the failure slugs, decided by type.
//!
//! - [`engine`]: engines and their instance pools, sized from the limits.
//! - [`compiler`]: child processes that compile components.
//! - [`clock`]: interrupts guests at their deadlines.
//! - [`component`]: a loaded guest: checked ([`inspect`]), compiled, cached, linked.
//! - [`limits`] and [`call`]: one call in a fresh instance under limits.
//! - [`grants`]: resources that a guest may use beyond computing.
//! - [`leaf`]: one leaf call. [`slots`]: the pool of slot threads, which run leaves.
//! - [`merger`]: merges and splits, on separate threads.
//! - [`trial`]: single calls for tests of a plugin. [`profile`]: samples of calls.
//! - [`program`]: runs a test binary.
//!
//! No other crate names wasmtime.

mod address;
mod bindings;
mod cache;
pub mod call;
mod classify;
pub mod clock;
pub mod compiler;
pub mod component;
mod denied;
mod diagnostics;
mod drive;
pub mod engine;
mod escape;
mod fast_paths;
mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod grants;
mod guest;
mod host;
mod http;
mod inline;
pub mod inspect;
mod instance;
pub mod leaf;
pub mod limits;
mod linker;
mod load_error;
mod log;
pub mod merger;
mod output;
mod park;
mod permits;
mod placement;
mod private;
pub mod profile;
pub mod program;
mod ready;
mod shape;
mod slot_engines;
pub mod slots;
pub mod trial;
mod tuning;

pub use bindings::VERSION as CONTRACT;
pub use cache::CACHE_SIZE;
pub use clock::Clock;
pub use compiler::{CompileLimits, Compiler};
pub use component::Plugin;
pub use engine::{Sandbox, Settings};
#[doc(hidden)]
pub use fast_paths::FastPaths;
pub use files::threads::{Usage as FileCalls, usage as file_calls};
pub use grants::GuestGrants;
pub use inspect::Role;
pub use leaf::Leaf;
pub use load_error::LoadError;
pub use merger::{Guests, MergeHost, SplitHost};
pub use permits::MergeOwner;
pub use private::private_folder;
pub use slots::{LeafHost, SlotSettings, Slots, WAITING, WAITING_MEMORY, WaitLimits};
pub use trial::{Trial, Trials};
pub use tuning::Metering;

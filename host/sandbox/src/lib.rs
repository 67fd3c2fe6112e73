//! One guest call, run safely. Everything that a guest can do is bounded here, and every way in which it can end is
//! one of the failure slugs, decided by type.
//!
//! - [`engine`]: the engines and their pools, sized from our limits. [`compiler`]: child processes that compile.
//!   [`clock`]: what interrupts guests in time.
//! - [`component`]: a guest loaded: checked ([`inspect`]), compiled, cached, linked.
//! - [`limits`] and [`call`]: one call in a fresh instance under limits. [`grants`]: what it may use beyond computing.
//! - [`leaf`]: one leaf call. [`slots`]: the threads that leaves run on. [`merger`]: merges and splits, on threads of
//!   their own. [`trial`]: any of these calls made alone, for those who test a plugin. [`profile`]: samples of them.
//!   [`program`]: a test binary, run.
//!
//! This is the only crate that names wasmtime.

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
pub mod engine;
mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod grants;
mod host;
mod http;
mod inline;
pub mod inspect;
pub mod leaf;
pub mod limits;
mod linker;
mod log;
pub mod merger;
mod park;
mod permits;
mod placement;
mod private;
pub mod profile;
pub mod program;
mod round_robin;
mod shape;
mod shares;
mod slot_engines;
pub mod slots;
pub mod trial;

pub use bindings::VERSION as CONTRACT;
pub use cache::CACHE_SIZE;
pub use clock::Clock;
pub use compiler::{CompileLimits, Compiler};
pub use component::{LoadError, Plugin};
pub use engine::{Sandbox, Settings};
pub use files::threads::{Usage as FileCalls, usage as file_calls};
pub use grants::Grants;
pub use inspect::Role;
pub use leaf::Leaf;
pub use limits::Limits;
pub use merger::{Guests, MergeHost, SplitHost};
pub use private::private_folder;
pub use slots::{LeafHost, Slots};
pub use trial::{Trial, Trials};

//! An app on disk: a folder with a `frond.toml`, component files and, often, data.
//!
//! 1. `manifest`: `frond.toml` as written; every value keeps its line.
//! 2. [`load`]: reads and resolves it: defaults are filled in, and contradictions refused.
//! 3. [`app`]: the resolved app. [`package`]: an app, or a part of one that is tested alone.
//! 4. [`component`]: the wasm files of an app, located and verified against their pins. `build`
//!    runs their build commands.
//! 5. [`source`]: the app's work, cut into the partitions of a plan.
//!
//! [`size`] parses sizes and durations, and [`hosts`] the hosts of grants. [`limits`] bounds guest
//! calls, and [`retry`] holds the rules for retries. [`local`] recognizes local file systems.
//! `fingerprint` digests an app's settings. [`error`] names the problem, its place and its remedy.
//!
//! This crate neither runs components nor looks inside them.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod app;
mod build;
pub mod component;
pub mod error;
mod fingerprint;
#[doc(hidden)]
pub mod fuzzing;
pub mod hosts;
pub mod limits;
pub mod load;
pub mod local;
mod manifest;
pub mod package;
mod paths;
pub mod retry;
pub mod size;
pub mod source;
#[cfg(test)]
mod testing;

pub use app::App;
pub use component::Component;
pub use error::{AppError, Location};
pub use limits::AppLimits;
pub use manifest::{Share, Size, Time};
pub use package::Package;
pub use retry::Retries;
pub use source::{Cut, CutMode, Inputs, PieceSize, Source};

//! An app on disk: a folder with a `frond.toml`, component files and, often, data.
//!
//! 1. `manifest`: `frond.toml` as written; every value keeps its line.
//! 2. [`app`]: the resolved app, with defaults filled in and contradictions refused.
//!    [`package`]: an app, or a part of one that is tested alone.
//! 3. [`component`]: the wasm files of an app: built, located, verified against their pins.
//! 4. [`source`]: the app's work, cut into the partitions of a plan.
//!
//! [`size`] parses sizes and durations. [`limits`] bounds guest calls, [`grants`] lists their
//! capabilities beyond computing, and [`retry`] holds the rules for retries. [`local`] recognizes
//! local file systems. `fingerprint` digests an app's settings. [`error`] names the problem, its
//! place and its remedy.
//!
//! This crate neither runs components nor looks inside them.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod app;
pub mod component;
pub mod error;
mod fingerprint;
#[doc(hidden)]
pub mod fuzzing;
pub mod grants;
pub mod limits;
pub mod local;
mod manifest;
pub mod package;
pub mod retry;
pub mod size;
pub mod source;
#[cfg(test)]
mod testing;

pub use app::App;
pub use component::Component;
pub use error::{AppError, Location};
pub use grants::{Directory, Grants, HostPattern, HttpGrant, Ports};
pub use limits::{CallLimits, Limits};
pub use manifest::{Share, Size, Time};
pub use package::Package;
pub use retry::Retries;
pub use source::{Cut, CutMode, Inputs, PieceSize, Source};

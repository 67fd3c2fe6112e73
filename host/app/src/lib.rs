//! An app as files: a folder with a `frond.toml`, its components and, often, its data.
//!
//! 1. `manifest`: `frond.toml` as written, every value with the place where it stands.
//! 2. [`app`]: the same as resolved: defaults filled in, contradictions refused.
//!    [`package`]: an app, or a part of one that is tested by itself.
//! 3. [`component`]: the wasm files that it names: built, found, checked against their pins.
//! 4. [`source`]: its work, cut into the partitions of a plan.
//!
//! [`size`] reads sizes and durations as people write them; [`limits`] is what guest calls may take, [`grants`] what they
//! may use beyond computing, [`retry`] when they are tried again; [`local`] knows the file systems of one machine alone;
//! `fingerprint` is what tells one app from another; [`error`] says what is wrong, where, and what to do about it.
//!
//! Nothing here runs a component or knows what is in one.
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

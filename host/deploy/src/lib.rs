//! Apps that change while they run: their versions, the checks of a change, and its rollback.
//!
//! 1. `folder`: reads app folders, their `frond.toml`s and their components, by digest. `watch`:
//!    reports changes of files; `links`: folders in which symbolic links to a file are switched.
//!    `settings`: limits and folders; `state_location`: chooses the state folder.
//! 2. `reconciler`: one thread that applies changes; `commands`: its queue; `settle`: debounces the
//!    changes of an app's files. `load`: one load of an app, on a separate thread; `managed`: the
//!    app as that thread owns it.
//! 3. `candidate`: the parts of a possible new version. `check`: validates and compiles it and runs
//!    its cases; `canary`: runs the last query on it.
//! 4. `releases`: the versions that an app served, serves, and can be rolled back to; `refused`:
//!    refused changes; `state`: stores both, and every component.
//! 5. `recall`: loads older versions again, for jobs that began with them, and `recalled` shares
//!    them; `pack`: exchanges versions with other servers. [`jobs`]: the apps as a provider of
//!    jobs.
//! 6. [`Registry`]: the apps as callers use them; `shared`: its state, of which each app has a
//!    `slot`. [`Version`]: the target of queries; [`AppView`]: an app as clients see it;
//!    [`ChangeError`]: the reason why an app was not changed.
//!
//! If a check fails, the version that served before keeps serving. A query keeps the version with
//! which it began.

mod canary;
mod candidate;
mod check;
mod clock;
mod command;
mod commands;
mod error;
mod folder;
mod host;
pub mod jobs;
mod links;
mod load;
mod managed;
mod pack;
mod recall;
mod recalled;
mod reconciler;
mod refused;
mod registry;
mod releases;
mod settings;
mod settle;
mod shared;
mod slot;
mod state;
mod state_location;
mod version;
mod version_view;
mod view;
mod watch;

pub use error::{ChangeError, OpenError, RecallError, Stage, StateError};
pub use frond_run::Role;
pub use host::Host;
pub use refused::RefusedChange;
pub use registry::Registry;
pub use settings::{Settings, Watching};
pub use version::Version;
pub use version_view::{Checks, Example, Origin, Part, VersionView};
pub use view::{AppView, CallView, Change, GrantsView, Health, LimitsView};

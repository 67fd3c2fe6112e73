//! Jobs: work that outlives a request. In the order of reading:
//!
//! 1. [`job`]: a job's states, and which move leads where. Pure.
//! 2. [`store`]: what is kept of jobs, as one trait, [`JobStore`], with its types and errors.
//! 3. [`sqlite`]: the store of one root, a folder on its disk.
//! 4. `postgres`: the store that several roots share.
//! 5. [`work`]: what runs a job's leaves and merges, behind a seam.
//! 6. [`eta`]: when a job is likely to end. [`partial`]: what its answer would be by now. [`account`]: its lives, added up.
//! 7. [`processor`]: takes jobs and sees them through; `course` is one job's way, `quota` what its caller may keep.
//!
//! The database is the only durable truth: whoever plans, runs and merges holds a lease on the job, and every write of
//! such an owner carries the epoch of that lease, so that an owner that was given up cannot disturb its successor.
//!
//! Nothing here knows what a leaf is made of, or opens a port. A store goes by one clock of its own: no time is passed in.

#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod account;
pub mod clock;
pub mod eta;
mod excluded;
pub mod job;
mod job_run;
mod migrations;
pub mod partial;
pub mod processor;
mod quota;
pub mod store;
pub mod work;

pub use job::{End, IllegalMove, JobId, JobState, Move, UnixMs};
pub use processor::{Processor, Wakeup};
pub use quota::Quotas;
#[cfg(feature = "postgres")]
pub use store::postgres;
pub use store::sqlite;
pub use store::{CountedStore, Job, JobStore, LateStore, StoreError, Tally};
pub use work::{AppProvider, AppVersion, NoVersion};

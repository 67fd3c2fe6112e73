//! Leaves on workers: other processes of this machine, or of other hosts.
//!
//! 1. [`carrier`]: messages between two peers, which may be lost, doubled or reordered: over a
//!    socket, or over a broker.
//! 2. [`nats`]: carriers over a NATS server, to workers on any hosts.
//! 3. [`session`]: makes of them ordered frames of any size, exactly once, or a lost peer.
//! 4. [`frames`]: what roots and workers say to each other.
//! 5. [`workers`]: the root's side, which gives attempts to workers and believes nothing.
//! 6. [`worker`]: the worker's side, which runs them on the slots of an ordinary runner.
//!
//! [`cluster`] has roots and workers find each other. [`chaos`] gives a carrier faults, for tests.

pub mod carrier;
pub mod chaos;
pub mod cluster;
pub mod frames;
mod label;
pub mod nats;
mod outcome;
pub mod session;
pub mod worker;
pub mod workers;

pub use carrier::Carrier;
pub use worker::{FileReach, Introduction, LeafCode, LeafLoader, PartialCache};
pub use workers::{DrainView, HeldPartial, HeldPartials, LeafCodes, LeafSource, Origin, ShippedCode, Tally};
pub use workers::{WorkerState, WorkerView, Workers};

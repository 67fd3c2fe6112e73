//! Leaves on workers: other processes of this machine, or of other hosts.
//!
//! 1. [`carrier`]: messages between two peers, which may be lost, doubled or reordered: over a
//!    socket, or over a broker.
//! 2. [`session`]: makes of them ordered frames of any size, exactly once, or a lost peer.
//! 3. [`frames`]: what roots and workers say to each other.
//! 4. [`workers`]: the root's side, which gives attempts to workers and believes nothing.
//! 5. [`worker`]: the worker's side, which runs them on the slots of an ordinary runner.

pub mod carrier;
pub mod frames;
mod outcome;
pub mod session;
pub mod worker;
pub mod workers;

pub use carrier::Carrier;
pub use worker::{Introduction, LeafCode, LeafLoader};
pub use workers::{LeafCodes, LeafSource, ShippedCode, WorkerView, Workers};

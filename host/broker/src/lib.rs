//! Leaves on workers: other processes of this machine, or of other hosts.
//!
//! 1. [`carrier`]: messages between two peers, which may be lost, doubled or reordered: over a
//!    socket, or over a broker.
//! 2. [`session`]: makes of them ordered frames of any size, exactly once, or a lost peer.
//! 3. [`nats`]: carriers over a NATS server, to workers on any hosts.

pub mod carrier;
pub mod nats;
pub mod session;

//! Ordered frames of any size between two peers, exactly once, until one of them is lost.
//!
//! The *opener* (a worker) and the *accepter* (a root) make a session over a
//! [`Carrier`](crate::carrier::Carrier), which may lose, double, reorder and delay messages.
//!
//! - **Names.** The opener chooses a random number, the accepter answers with one of its own, and
//!   every packet carries both. A delayed packet of an earlier session therefore opens nothing and
//!   replaces nothing: only an opener that has seen this accepter's answer can. A packet with other
//!   numbers is answered with a reset.
//! - **Order.** Packets of frames are numbered. The receiver acknowledges all up to a number
//!   (cumulative) and of the next 256 each that it has (selective): after a
//!   loss only what is missing is sent again, which matters as a packet may have 256 KiB. Every
//!   transmission has a number of its own, too, and the receiver echoes the newest, as in QUIC.
//!   So a packet is known to be lost once three later transmissions could have overtaken it, also
//!   if it was itself a repetition, and a round trip is measured without ambiguity.
//! - **Flow control.** The receiver announces up to which total of bytes it will take. That total
//!   rises when the application calls [`FrameReceiver::recv`]. There is no congestion window: a
//!   carrier has flow control of its own, and at most 256 packets are in flight.
//! - **Liveness.** Every packet announces when the next will come at the latest.
//!
//! The state machine (`engine.rs`) knows no clock and no carrier. One task (`task.rs`) drives it.

mod arrivals;
mod body;
mod engine;
mod handles;
mod outgoing;
mod pulse;
mod round_trip;
mod shared;
mod task;
mod terms;
#[cfg(test)]
mod tests;
mod wire;

pub use handles::{FrameReceiver, FrameSender, accept, open};
pub use terms::{Lost, Settings};

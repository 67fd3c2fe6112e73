//! The parts of the command line that can be used, and tested, without a terminal.

pub mod record;
pub mod show;

//! The HTTP root.

pub mod apps;

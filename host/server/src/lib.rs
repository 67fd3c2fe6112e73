//! The HTTP root.

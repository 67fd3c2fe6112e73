//! The rule of copies, its estimates and its budget.

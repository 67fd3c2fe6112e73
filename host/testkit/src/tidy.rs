//! The rules that keep the source tree tidy.

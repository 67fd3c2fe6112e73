//! Plugins tested by themselves.

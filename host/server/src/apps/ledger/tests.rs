//! Random changes of an app, good and bad: what serves is always the last good version.

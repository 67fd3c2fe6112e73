//! Any bytes as an app's `frond.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_app::fuzzing::manifest(bytes));

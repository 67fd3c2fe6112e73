//! Fuzzes the parser of `frond.toml` with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_app::fuzzing::manifest(bytes));

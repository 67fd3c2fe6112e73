//! Any bytes as a server's settings.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_server::fuzzing::config(bytes));

//! Any bytes as a recording for `frond explain`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_cli::fuzzing::recording(bytes));

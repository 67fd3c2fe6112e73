//! Fuzzes the parser of recordings for `frond explain` with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_cli::fuzzing::recording(bytes));

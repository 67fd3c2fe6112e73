//! Fuzzes the parser of a server's settings with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_server::fuzzing::config(bytes));

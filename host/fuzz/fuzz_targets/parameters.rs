//! Fuzzes the parser of request parameters with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_server::fuzzing::parameters(bytes));

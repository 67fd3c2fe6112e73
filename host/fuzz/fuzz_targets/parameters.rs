//! Any bytes as the parameters of a request.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_server::fuzzing::parameters(bytes));

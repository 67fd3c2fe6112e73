//! Any bytes as the headers of a request: who asks, in which form, and where an event stream goes on.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_server::fuzzing::headers(bytes));

//! Fuzzes the parsers of request headers: principal, content negotiation, and resumption of event
//! streams.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_server::fuzzing::headers(bytes));

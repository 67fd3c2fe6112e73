//! Fuzzes the inspection of components with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_sandbox::fuzzing::component(bytes));

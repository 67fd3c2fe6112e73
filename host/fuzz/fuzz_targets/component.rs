//! Any bytes as a plugin's component.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_sandbox::fuzzing::component(bytes));

//! Any bytes as a query that brings its partitions along.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_app::fuzzing::partitions(bytes));

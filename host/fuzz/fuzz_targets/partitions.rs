//! Fuzzes the parser of queries that bring their own partitions, with any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frond_app::fuzzing::partitions(bytes));

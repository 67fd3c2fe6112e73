//! Sizes and durations: accepted texts, and the messages of refusals.

use std::time::Duration;

use proptest::prelude::*;

use super::{parse_duration, parse_size, show_size};

fn size(text: &str) -> String {
    parse_size(text).map_or_else(|error| error.to_string(), |bytes| bytes.to_string())
}

fn duration(text: &str) -> String {
    parse_duration(text).map_or_else(|error| error.to_string(), |time| format!("{time:?}"))
}

#[test]
fn sizes_are_read_in_every_unit() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4096),
        ("10_000", 10_000),
        ("7B", 7),
        ("4 KiB", 4 << 10),
        ("4kib", 4 << 10),
        ("64MiB", 64 << 20),
        ("1MB", 1_000_000),
        (" 2 GB ", 2_000_000_000),
        ("1.5GiB", 3 << 29),
        ("0.5 KB", 500),
        ("1TiB", 1 << 40),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_not_a_size_is_told_what_one_looks_like() {
    insta::assert_snapshot!(size("much"), @r"
    `much` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
    insta::assert_snapshot!(size(""), @r"
    `` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
    insta::assert_snapshot!(size("-1"), @r"
    `-1` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
    insta::assert_snapshot!(size("1.5"), @r"
    `1.5` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
    insta::assert_snapshot!(size("4MiB2"), @r"
    `4MiB2` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
    insta::assert_snapshot!(size("64M"), @r"
    `M` in `64M` is not a unit of size
    (the units are B, KB, MB, GB, TB and KiB, MiB, GiB, TiB)
    ");
    insta::assert_snapshot!(size("99999999999GB"), @"`99999999999GB` is 2^64 bytes or more");
    insta::assert_snapshot!(size("18446744073709551616"), @"`18446744073709551616` is 2^64 bytes or more");
    insta::assert_snapshot!(size("1000000000000000000000000000000000000000"), @r"
    `1000000000000000000000000000000000000000` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
}

#[test]
fn durations_are_sums() {
    for (text, millis) in [
        ("2s", 2_000),
        ("500ms", 500),
        ("1m30s", 90_000),
        ("1m 30s", 90_000),
        ("1.5s", 1_500),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("250000us", 250),
        ("1000000ns", 1),
        ("0s", 0),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn what_is_not_a_duration_is_told_what_one_looks_like() {
    insta::assert_snapshot!(duration("soon"), @r"
    `soon` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    ");
    insta::assert_snapshot!(duration(""), @r"
    `` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    ");
    insta::assert_snapshot!(duration("10"), @r"
    `10` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    ");
    insta::assert_snapshot!(duration("1m30"), @r"
    `1m30` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    ");
    insta::assert_snapshot!(duration("2sec"), @r"
    `sec` in `2sec` is not a unit of time
    (the units are ns, us, ms, s, m, h and d)
    ");
    insta::assert_snapshot!(duration("366d"), @"`366d` is more than a year");
    insta::assert_snapshot!(duration("9999999999999999999d"), @"`9999999999999999999d` is more than a year");
}

#[test]
fn sizes_are_shown_in_the_largest_whole_unit() {
    assert_eq!(show_size(16 << 20), "16 MiB");
    assert_eq!(show_size(3 << 29), "1536 MiB");
    assert_eq!(show_size(1000), "1000 bytes");
    assert_eq!(show_size(0), "0 bytes");
}

proptest! {
    #[test]
    fn a_size_shown_is_the_size_read(bytes in any::<u64>()) {
        prop_assert_eq!(parse_size(&show_size(bytes).replace("bytes", "B")), Ok(bytes));
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,24}") {
        let _ = (parse_size(&text), parse_duration(&text));
    }

    #[test]
    fn no_number_makes_the_parsers_panic(text in "[0-9._]{0,24} ?[KMGTkimsuhd]{0,3}[iB]{0,2}[0-9]{0,3}[ms]{0,2}") {
        let _ = (parse_size(&text), parse_duration(&text));
    }
}

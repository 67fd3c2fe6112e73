//! Escapes, widths and rounding.

use proptest::prelude::*;

use super::*;

#[test]
fn control_characters_become_visible() {
    assert_eq!(sanitise("a\u{1b}[31mred\u{7}", 100), "a\\u{1b}[31mred\\u{7}");
    assert_eq!(sanitise("two\nlines\tand\r", 100), "two\\nlines\\tand\\r");
    assert_eq!(sanitise("c1 \u{9b}2J", 100), "c1 \\u{9b}2J");
}

#[test]
fn characters_that_reorder_or_hide_text_become_visible() {
    assert_eq!(sanitise("abc\u{202e}gpj", 100), "abc\\u{202e}gpj");
    assert_eq!(sanitise("a\u{200b}b\u{feff}\u{2066}", 100), "a\\u{200b}b\\u{feff}\\u{2066}");
    assert_eq!(sanitise("Köln 東京 ❤", 100), "Köln 東京 ❤");
}

#[test]
fn long_text_is_cut_off_and_says_so() {
    assert_eq!(sanitise("abcdef", 3), "abc…");
    assert_eq!(sanitise("abc", 3), "abc");
    assert_eq!(sanitise("ab\u{1b}", 4), "ab…");
}

#[test]
fn a_key_that_is_too_long_loses_its_middle() {
    assert_eq!(fit("data/2026/part-0001", 12), "data/…t-0001");
    assert_eq!(fit("short", 12), "short");
    assert_eq!(fit("abc", 1), "…");
    assert_eq!(fit("abc", 0), "");
    assert_eq!(columns(&fit("東京東京東京", 6)), 5);
}

#[test]
fn ascii_spells_out_what_it_lacks() {
    assert_eq!(ascii("·██▒x│"), ".##%x|");
    assert_eq!(ascii("Köln"), "K\\u{f6}ln");
}

#[test]
fn durations_keep_three_digits() {
    let shown: Vec<_> = [0, 812, 1_000, 43_190, 999_999, 1_794_000, 59_999_999, 123_000_000, 3_725_000_000]
        .into_iter()
        .map(duration)
        .collect();
    assert_eq!(
        shown,
        ["0 µs", "812 µs", "1.0 ms", "43.1 ms", "999 ms", "1.79 s", "59.99 s", "2 min 03 s", "1 h 02 min"]
    );
    assert_eq!(duration(u64::MAX), "5124095576 h 01 min");
    assert_eq!(millis(f64::NAN), "0 µs");
    assert_eq!(millis(-1.0), "0 µs");
}

#[test]
fn percent_is_never_rounded_to_all_or_nothing() {
    assert_eq!(percent(1.0), "100 %");
    assert_eq!(percent(0.999_999), "99.9 %");
    assert_eq!(percent(0.000_01), "<0.1 %");
    assert_eq!(percent(0.0), "0 %");
    assert_eq!(percent(0.29), "29 %");
    assert_eq!(percent(0.831), "83.1 %");
    assert_eq!(percent(1e300), "100 %");
}

#[test]
fn counts_and_sizes_are_legible() {
    assert_eq!(count(1_234_567), "1,234,567");
    assert_eq!(count(100), "100");
    assert_eq!(plural(1, "retry", "retries"), "1 retry");
    assert_eq!(bytes(1023), "1023 B");
    assert_eq!(bytes(4096), "4.0 KiB");
    assert_eq!(bytes(u64::MAX), "16.0 EiB");
    assert_eq!(big(1_300_000), "1.3 M");
    assert_eq!(times(3.12), "3.1×");
    assert_eq!(times(1e300), ">1,000,000×");
}

#[test]
fn dates_are_utc() {
    assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
    assert_eq!(date(1_709_210_096_000), "2024-02-29 12:34:56 UTC");
    assert_eq!(date(4_102_444_800_000), "2100-01-01 00:00:00 UTC");
    assert!(date(u64::MAX).ends_with("UTC"));
}

proptest! {
    #[test]
    fn sanitised_text_is_safe_bounded_and_stays_as_it_is(text in any::<String>(), limit in 0_usize..50) {
        let safe = sanitise(&text, limit);
        prop_assert!(!safe.chars().any(is_unsafe));
        prop_assert!(safe.chars().count() <= limit + 1);
        prop_assert_eq!(sanitise(&safe, limit + 1), safe.clone());
        prop_assert!(ascii(&safe).is_ascii());
    }

    #[test]
    fn fitted_text_fits(text in any::<String>(), limit in 0_usize..50) {
        prop_assert!(columns(&fit(&sanitise(&text, 200), limit)) <= limit);
    }
}

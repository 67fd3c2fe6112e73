//! Backtrace frames of a stopped test.

use super::of_interest;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn frames_are_those_of_the_test() {
    let all = names(&[
        "__rustc::__rust_abort",
        "__rustc::rust_panic",
        "core::panicking::panic_fmt",
        "core::panicking::assert_failed",
        "lines::helper",
        "lines::tests::counts",
        "lines::tests::counts::{closure#0}",
        "core::ops::function::FnOnce::call_once",
        "test::run_test",
    ]);
    assert_eq!(
        of_interest(&all),
        names(&["lines::helper", "lines::tests::counts", "lines::tests::counts::{closure#0}"])
    );
    let full = names(&["sbrk", "malloc", "__rustc::__rdl_alloc", "alloc::raw_vec::grow", "lines::tests::fills"]);
    assert_eq!(of_interest(&full), names(&["lines::tests::fills"]));
    let only = names(&["core::panicking::panic_fmt", "test::run_test"]);
    assert_eq!(of_interest(&only), only);
    assert!(of_interest(&[]).is_empty());
}

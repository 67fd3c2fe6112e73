//! Tests of the text budget of failures.

use super::*;

/// A failure whose texts have `texts` bytes.
fn failure(texts: usize) -> Failure {
    let frame = "f".repeat(texts - 6);
    Failure { backtrace: vec![frame], ..Failure::new(FailureKind::Trap, "failed") }
}

#[test]
fn failures_within_the_budget_are_told_in_full() {
    let mut texts = TextBudget::new(100, 20);
    assert_eq!(texts.take(&failure(80)), failure(80));
    assert_eq!(texts.used(), 100);
}

#[test]
fn failures_beyond_it_say_what_is_left_out_and_keep_their_kind() {
    let mut texts = TextBudget::new(100, 0);
    let taken = texts.take(&failure(101));
    assert_eq!((taken.kind, taken.omitted, texts.used()), (FailureKind::Trap, 95, 0));
    assert_eq!(taken.message, "failed… (95 bytes of its texts are left out: all failures together have too many)");
    assert!(taken.backtrace.is_empty() && taken.log.is_empty());
    // A later failure that fits is kept in full.
    assert_eq!(texts.take(&failure(50)), failure(50));
}

#[test]
fn the_last_partitions_before_a_failure_are_named_within_the_budget() {
    let before: Vec<u32> = (0..300).collect();
    let warm = Failure::new(FailureKind::Trap, "failed").after(&before);
    assert_eq!(warm.before, before[300 - MAX_BEFORE..]);
    assert_eq!(TextBudget::new(6 + 4 * 256, 0).take(&warm), warm);
    let cut = TextBudget::new(6 + 4 * 256 - 1, 0).take(&warm);
    assert_eq!((cut.before.len(), cut.omitted), (0, 4 * 256));
    let fresh = warm.after(&[]);
    assert!(!serde_json::to_string(&fresh).unwrap().contains("before"));
}

#[test]
fn what_is_left_out_twice_is_added_up() {
    let mut nothing = TextBudget::new(0, 0);
    let long = Failure::new(FailureKind::Trap, "ä".repeat(4000));
    let once = nothing.take(&long);
    assert_eq!(once.omitted, 8000 - 256);
    let twice = nothing.take(&once);
    assert!(twice.omitted > once.omitted && twice.message.len() < 400, "{}", twice.message);
    let short = Failure::new(FailureKind::Lost, "gone");
    assert_eq!(nothing.take(&short), short);
}

//! Tests of a query's promises: scripted leaves and merges, in paused time, through the whole flow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod cancelling;
mod copies;
mod decisions;
mod emitting;
mod failing;
mod formulas;
mod journaling;
mod memory;
mod merging;
mod outcome;
mod pieces;
mod planning;
mod previewing;
mod report;
mod retrying;
mod scripts;
mod trees;
mod waiting;
mod window;

use frond_root::{Answer, Coverage, Reason};

/// Words of an answer's body, as numbers.
fn words(answer: &Answer) -> Vec<u32> {
    let body = answer.body().expect("an answer with a body");
    let text = std::str::from_utf8(body).unwrap();
    text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect()
}

fn reason(answer: &Answer) -> &Reason {
    match answer {
        Answer::Failed { reason, .. } => reason,
        other => panic!("the query should have failed: {other:?}"),
    }
}

/// Counts of `succeeded`, `degraded`, `failed`, `timed_out`, `cancelled` and `not_started`.
fn parts(coverage: &Coverage) -> [u64; 6] {
    let tally = coverage.partitions;
    assert!(tally.is_closed() && coverage.weight.is_closed(), "{coverage:?}");
    [tally.succeeded, tally.degraded, tally.failed, tally.timed_out, tally.cancelled, tally.not_started]
}

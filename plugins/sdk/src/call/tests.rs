//! Tests that the decoding error of each argument becomes the right failure.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::{Coverage, Failure, Partition, Raw};

const COVERAGE: Coverage = Coverage { planned: 4, covered: 3, complete: false };

fn partition() -> Partition {
    Partition { key: "a".to_owned(), index: 0, data: b"abc".to_vec() }
}

fn sum(_: (), partials: Vec<u64>) -> Result<u64, Failure> {
    Ok(partials.iter().sum())
}

#[test]
fn a_leaf_gets_its_query_and_partition() {
    let process = |query: u64, partition: Partition| Ok(query + partition.data.len() as u64);
    let partial = super::process(process, b" 4 ".to_vec(), partition());
    assert_eq!(partial.unwrap(), b"7");
}

/// State of a query that counts how often it was made.
struct Factor(u64);

thread_local! {
    static PREPARATIONS: Cell<u32> = const { Cell::new(0) };
}

fn prepare(factor: u64) -> Result<Factor, Failure> {
    PREPARATIONS.set(PREPARATIONS.get() + 1);
    if factor == 0 { Err(Failure::invalid_query("0 is no factor")) } else { Ok(Factor(factor)) }
}

fn prepare_alike(factor: u64) -> Result<Factor, Failure> {
    prepare(factor + 1)
}

fn multiply(factor: &Factor, partition: Partition) -> Result<u64, Failure> {
    Ok(factor.0 * partition.data.len() as u64)
}

#[test]
fn a_query_is_prepared_once_and_another_one_never_gets_its_state() {
    let ask = |query: &[u8]| super::process_prepared(prepare, multiply, query.to_vec(), partition());
    let before = PREPARATIONS.get();
    assert_eq!((ask(b"2").unwrap(), ask(b"2").unwrap()), (b"6".to_vec(), b"6".to_vec()));
    assert_eq!(PREPARATIONS.get() - before, 1);
    assert_eq!((ask(b"3").unwrap(), ask(b"2").unwrap()), (b"9".to_vec(), b"6".to_vec()));
    assert_eq!(PREPARATIONS.get() - before, 3);
    let alike = super::process_prepared(prepare_alike, multiply, b"2".to_vec(), partition());
    assert_eq!(alike.unwrap(), b"9");
}

#[test]
fn a_query_that_cannot_be_prepared_is_refused_each_time_and_leaves_the_last_state() {
    let ask = |query: &[u8]| super::process_prepared(prepare, multiply, query.to_vec(), partition());
    let before = PREPARATIONS.get();
    assert_eq!(ask(b"2").unwrap(), b"6");
    for query in [b"0", b"0", b"x"] {
        assert!(matches!(ask(query), Err(Failure::InvalidQuery(_))));
    }
    assert_eq!(ask(b"2").unwrap(), b"6");
    assert_eq!(PREPARATIONS.get() - before, 3);
}

#[test]
fn a_bad_query_is_the_query_s_failure() {
    let process = |_: u64, _| Ok(());
    let failure = super::process(process, b"{}".to_vec(), partition()).unwrap_err();
    let text = "invalid type: map, expected u64 at line 1 column 0";
    assert!(matches!(failure, Failure::InvalidQuery(message) if message == text));
}

#[test]
fn partials_merge_and_a_bad_one_is_named() {
    let merged = super::merge(sum, b"null".to_vec(), vec![b"1".to_vec(), b"2".to_vec()]);
    assert_eq!(merged.unwrap(), b"3");
    let failure = super::merge(sum, b"null".to_vec(), vec![b"1".to_vec(), b"x".to_vec()]).unwrap_err();
    let text = "partial 1 cannot be read: expected value at line 1 column 1";
    assert!(matches!(failure, Failure::InvalidPartition(message) if message == text));
}

#[test]
fn no_partial_merges_to_the_identity() {
    assert_eq!(super::merge(sum, b"null".to_vec(), Vec::new()).unwrap(), b"0");
}

#[test]
fn finish_may_answer_with_text() {
    let finish =
        |(): (), merged: Option<u64>, coverage: Coverage| Ok(Raw::from(format!("{merged:?} of {}", coverage.planned)));
    let answer = super::finish(finish, b"null".to_vec(), Some(b"3".to_vec()), COVERAGE);
    assert_eq!(answer.unwrap(), b"Some(3) of 4");
    let answer = super::finish(finish, b"null".to_vec(), None, COVERAGE);
    assert_eq!(answer.unwrap(), b"None of 4");
}

#[test]
fn a_partial_that_cannot_be_written_says_so() {
    let process = |(): (), _| Ok(BTreeMap::from([((1, 2), 3)]));
    let failure = super::process(process, b"null".to_vec(), partition()).unwrap_err();
    let text = "the partial cannot be written: key must be a string";
    assert!(matches!(failure, Failure::InvalidPartition(message) if message == text));
}

#[test]
fn a_split_gets_what_is_wanted() {
    let split = |(): (), wanted| Ok((0..wanted).map(|_| partition()).collect());
    assert_eq!(super::split(split, b"null".to_vec(), 3).unwrap().len(), 3);
}

/// A leaf that prepares its query, beside the other leaf of these tests.
mod preparing {
    crate::leaf!(super::prepare, super::multiply);
}

/// All three macros in one crate. Natively they export nothing, and their functions count as used.
mod together {
    use crate::{Coverage, Failure, Partition};

    crate::leaf!(process);
    fn process((): (), partition: Partition) -> Result<u32, Failure> {
        Ok(partition.index)
    }

    crate::merger!(merge, finish);
    fn merge((): (), partials: Vec<u32>) -> Result<u32, Failure> {
        Ok(partials.iter().sum())
    }
    fn finish((): (), merged: Option<u32>, _: Coverage) -> Result<Option<u32>, Failure> {
        Ok(merged)
    }

    crate::splitter!(split);
    fn split((): (), _: u32) -> Result<Vec<Partition>, Failure> {
        Ok(Vec::new())
    }
}

//! Tests that the decoding error of each argument becomes the right failure.

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

//! Tests of the choice of the command, and of the harmless commands.

use std::collections::BTreeSet;

use frond_plugin::{Failure, Partition};
use proptest::prelude::*;

use crate::partial::{KEPT, Output, Partial};
use crate::{Query, leaf, merge, merger, prefix, process, split};

fn query(json: &str) -> Query {
    serde_json::from_str(json).unwrap()
}

fn run(query_json: &str, key: &str) -> Result<Output<Partial>, Failure> {
    process(query(query_json), Partition { key: key.to_owned(), index: 0, data: Vec::new() })
}

/// Checks which failure or kind of output a leaf returns.
fn check(query_json: &str, key: &str, expect: &str) {
    let outcome = match run(query_json, key) {
        Err(Failure::InvalidQuery(_)) => "invalid-query",
        Err(Failure::InvalidPartition(_)) => "invalid-partition",
        Err(Failure::Unavailable(_)) => "unavailable",
        Ok(Output::Bytes(_)) => "bytes",
        Ok(Output::Text(_)) => "text",
        Ok(Output::Value(_)) => "ok",
    };
    assert_eq!(outcome, expect, "{query_json} {key}");
}

#[test]
fn the_query_comes_before_the_key() {
    check("{}", "unavailable", "unavailable");
    check("{}", "unavailable-17", "unavailable");
    check("{}", "unavailable-x", "ok");
    check(r#"{"fault": "invalid-query"}"#, "unavailable", "invalid-query");
    check(r#"{"fault": "invalid-query", "faults": {"a": "ok"}}"#, "a", "ok");
    check(r#"{"faults": {"a": "invalid-partition"}}"#, "a", "invalid-partition");
    check(r#"{"nonce": 1}"#, "anything", "ok");
    check("{}", "output-bytes:9-3", "bytes");
}

#[test]
fn keys_lose_their_number() {
    assert_eq!(
        ["spin-17", "spin", "emit-then-spin", "sleep-ms:50-3", "a-", "-1"].map(prefix),
        ["spin", "spin", "emit-then-spin", "sleep-ms:50", "a-", ""]
    );
}

#[test]
fn commands_have_names_of_their_own() {
    let names: BTreeSet<_> = leaf::COMMANDS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), leaf::COMMANDS.len());
    let names: BTreeSet<_> = merger::COMMANDS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), merger::COMMANDS.len());
}

#[test]
fn numbers_reach_their_commands() {
    assert_eq!(run(r#"{"fault": "output-bytes:9"}"#, "a").unwrap(), Output::Bytes(9));
    assert_eq!(run("{}", "burn:1").unwrap(), Output::Value(Partial::one("burn:1")));
}

#[test]
fn a_lie_depends_on_the_grouping() {
    let merge = |keys: Vec<Partial>| {
        let partials = keys.into_iter().map(Output::Value).collect();
        merge(query(r#"{"merge-fault": "lie"}"#), partials).unwrap().value().unwrap()
    };
    let [a, b, c] = ["a", "b", "c"].map(Partial::one);
    assert_ne!(merge(vec![a.clone(), b.clone(), c.clone()]), merge(vec![merge(vec![a, b]), c]));
}

#[test]
fn split_gives_what_is_listed_or_wanted() {
    let keys = |json| split(query(json), 2).unwrap().into_iter().map(|partition| (partition.index, partition.key));
    assert!(keys("{}").eq([(0, "ok-0".to_owned()), (1, "ok-1".to_owned())]));
    assert!(keys(r#"{"split": ["spin"]}"#).eq([(0, "spin".to_owned())]));
    let failure = split(query(r#"{"split-fault": "invalid-query"}"#), 2).unwrap_err();
    assert!(matches!(failure, Failure::InvalidQuery(_)));
}

proptest! {
    #[test]
    fn honest_merging_does_not_depend_on_the_grouping(keys in prop::collection::vec("[a-e]-[0-9]{1,3}", 0..30), cut in 0..30_usize) {
        let leaves: Vec<_> = keys.iter().map(|key| Partial::report(key, key.len().into())).collect();
        let (left, right) = leaves.split_at(cut.min(leaves.len()));
        let halves = [Partial::merge(right.to_vec()), Partial::merge(left.to_vec())];
        prop_assert_eq!(Partial::merge(halves), Partial::merge(leaves));
    }

    #[test]
    fn a_merged_partial_is_bounded(count in KEPT..KEPT + 3) {
        let merged = Partial::merge((0..count).map(|index| Partial::one(&format!("{index:05}"))));
        prop_assert_eq!((merged.count, merged.keys.len()), (count as u64, KEPT));
    }
}

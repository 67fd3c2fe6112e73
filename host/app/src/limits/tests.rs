//! Every bound that a `frond.toml` may set is listed with its default.

use frond_root::call::{Bound, Unit};
use frond_root::policy::retry::Retry;
use frond_testkit::limits::{Listed, keys, number, size, time};

use super::*;
use crate::app::DEFAULT_DEADLINE;
use crate::load::DEFAULT_BODY;
use crate::manifest::{HttpTable, LeafLimits, LimitsTable, MergeLimits, QueryTable, RetryTable, SplitLimits};

/// Keys of the same tables that bound nothing.
const OTHERS: [&str; 5] =
    ["limits.deterministic", "query.floor", "query.require", "grants.http.host", "grants.http.private"];

/// Default of a key of `[limits.…]`, in the notation of the list.
fn of_call(call: &Limits, partials: u64, key: &str) -> String {
    match (key, Bound::ALL.iter().find(|bound| bound.word() == key)) {
        ("log", _) => size(call.log),
        ("partials", _) => size(partials),
        ("time", _) => "none".to_owned(),
        (_, Some(bound)) if bound.unit() == Unit::Bytes => size(call.value(*bound).unwrap()),
        (_, Some(bound)) => number(call.value(*bound).unwrap()),
        (_, None) => panic!("say here what the default of `{key}` is"),
    }
}

fn of_retry(key: &str) -> String {
    let query = Retry::QUERY;
    let job = Retry::JOB;
    let both = |one: Duration, other: Duration| format!("{}; of a job {}", time(one), time(other));
    match key {
        "attempts" => format!("{}; of a job {}", query.attempts, job.attempts),
        "first" => both(query.first, job.first),
        "most" => both(query.most, job.most),
        "within" => format!("none; of a job {}", time(job.within.unwrap())),
        "copies" => "true".to_owned(),
        "idempotent" => "false".to_owned(),
        _ => panic!("say here what the default of `retry.{key}` is"),
    }
}

fn others(section: &str, key: &str) -> String {
    match (section, key) {
        ("query", "deadline") => time(DEFAULT_DEADLINE),
        ("query", "max-deadline") => "the larger of 60 s and `query.deadline`".to_owned(),
        ("grants.http", "time") => "none".to_owned(),
        ("grants.http", "body") => size(DEFAULT_BODY),
        ("grants.http", "methods") => "GET and HEAD".to_owned(),
        _ => panic!("say here what the default of `{section}.{key}` is, or that it bounds nothing"),
    }
}

#[test]
fn every_bound_of_an_app_is_listed_with_its_default() {
    let all = AppLimits::default();
    let calls = [
        ("leaf", keys::<LeafLimits>(), &all.leaf),
        ("merge", keys::<MergeLimits>(), &all.merge),
        ("split", keys::<SplitLimits>(), &all.split),
    ];
    let mut bounds = Vec::new();
    for (section, keys, call) in calls {
        bounds.extend(keys.iter().map(|key| (format!("limits.{section}.{key}"), of_call(call, all.partials, key))));
    }
    bounds.extend(keys::<RetryTable>().iter().map(|key| (format!("retry.{key}"), of_retry(key))));
    let sections =
        [("query", keys::<QueryTable>()), ("grants.http", keys::<HttpTable>()), ("limits", keys::<LimitsTable>())];
    for (section, keys) in sections {
        let keys = keys.iter().filter(|key| !(section == "limits" && ["leaf", "merge", "split"].contains(key)));
        let keys = keys.filter(|key| !OTHERS.contains(&format!("{section}.{key}").as_str()));
        bounds.extend(keys.map(|key| (format!("{section}.{key}"), others(section, key))));
    }
    let listed = Listed::read();
    let missing = listed.missing(bounds.clone());
    assert!(missing.is_empty(), "write into {}:\n{}", frond_testkit::limits::LISTED, missing.join("\n"));
    let known: Vec<String> = bounds.into_iter().map(|(key, _)| key).collect();
    for prefix in ["limits.leaf.", "limits.merge.", "limits.split.", "retry.", "query.", "grants."] {
        assert_eq!(listed.unknown(prefix, &known), Vec::<String>::new(), "no such settings");
    }
}

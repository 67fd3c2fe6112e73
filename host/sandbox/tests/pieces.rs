//! Partitions taken piece by piece, by real guests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Content, Failure, FailureKind, Grain, Partition, Plan, Request, Status, Units};
use frond_sandbox::{Guests, MergeHost, Role};
use serde_json::{Value, json};

use common::{App, Host, QueryResult, guest};

const SIZE: u64 = 3 << 20;

/// Runs a query of the faulty guest on one partition of [`SIZE`] bytes.
fn obey(host: &Host, command: &str) -> QueryResult {
    let app = host.faulty(Limits::default(), Limits::default());
    app.call(host, &format!(r#"{{"fault": "{command}"}}"#), Partition::new("a", Bytes::from(vec![1; SIZE as usize])))
}

/// Sum of the units that the answer's reports name. They must not overlap.
fn reported(asked: &QueryResult) -> u64 {
    let number = |report: &Value, name: &str| report[name].as_u64().unwrap();
    let reports = asked.json()["reports"].as_object().unwrap().clone();
    let mut ranges: Vec<_> = reports.values().map(|one| (number(one, "begin"), number(one, "end"))).collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
    ranges.iter().map(|(begin, end)| end - begin).sum()
}

#[test]
fn the_pieces_are_the_whole_partition() {
    let host = Host::new(1, Limits::default());
    let asked = obey(&host, "pieces");
    assert!(asked.answer.coverage().complete);
    assert_eq!(asked.json()["reports"], json!({ "a@0": { "begin": 0, "end": SIZE } }));
}

#[test]
fn a_leaf_that_asks_for_no_piece_has_its_whole_partition() {
    let host = Host::new(1, Limits::default());
    let asked = obey(&host, "read-source");
    assert!(asked.answer.coverage().complete);
    assert_eq!(asked.json()["reports"]["a"]["read"], SIZE);
}

#[test]
fn what_was_kept_before_a_trap_is_in_the_answer() {
    let host = Host::new(1, Limits::default());
    let asked = obey(&host, "keep-then-trap");
    let coverage = asked.answer.coverage();
    let kept = reported(&asked);
    assert!(kept > 0 && kept < SIZE);
    assert_eq!((coverage.covered, coverage.attempts.started), (kept, 1));
    let missing = &coverage.missing[0];
    assert_eq!((missing.status, missing.slug), (Status::Degraded, Some(FailureKind::Trap)));
    assert_eq!(missing.ranges, [(kept, SIZE)]);
}

#[test]
fn a_leaf_that_is_cut_off_is_run_again_from_where_it_kept() {
    let host = Host::new(1, Limits::default());
    let limits = Limits { fuel: 20_000_000, ..Limits::default() };
    let app = host.faulty(limits, Limits::default());
    let query = r#"{"fault": "keep-then-spin"}"#;
    let asked = app.call(&host, query, Partition::new("a", Bytes::from(vec![1; 100 << 10])));
    // Each attempt advances by a piece; the last one keeps the end, and spins all the same.
    let coverage = asked.answer.coverage();
    assert!(coverage.complete, "{coverage:?}");
    assert!(coverage.attempts.started > 1);
    assert_eq!(reported(&asked), 100 << 10);
}

#[test]
fn a_leaf_that_returns_early_is_run_again_once() {
    let host = Host::new(1, Limits::default());
    let asked = obey(&host, "pieces-early");
    let coverage = asked.answer.coverage();
    assert_eq!(coverage.attempts.started, 2);
    let taken = reported(&asked);
    assert_eq!((coverage.covered, &coverage.missing[0].ranges[..]), (taken, &[(taken, SIZE)][..]));
}

#[test]
fn a_skipped_rest_is_not_missing() {
    let host = Host::new(1, Limits::default());
    let asked = obey(&host, "pieces-skip");
    let coverage = asked.answer.coverage();
    assert!(coverage.complete);
    assert_eq!(coverage.weight.skipped, SIZE - reported(&asked));
}

#[test]
fn an_emission_between_pieces_is_refused_with_the_remedy() {
    let host = Host::new(1, Limits::default());
    let failure = obey(&host, "pieces-emit").failure();
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.message.contains("`keep`"), "{}", failure.message);
}

/// An app of a guest that is leaf and merge in one component.
fn app(host: &Host, name: &str) -> App {
    let wasm = guest(name);
    let merges = host.plugin(&wasm, &[Role::Merge], true);
    let merger = Arc::new(MergeHost(Guests::new(host.sandbox.clock(), merges, Limits::default())));
    App { merger, ..host.leaf(&wasm, Limits::default()) }
}

#[test]
fn however_many_slots_share_a_file_the_answer_is_the_same() {
    let line = |number: u64| format!("{number} apple {} zebra\n", number % 97);
    let text = Bytes::from((0..400_000).map(line).collect::<String>());
    for (name, query) in [("grep", r#"{"pattern": "(5|7)5 zebra", "counts": "files"}"#), ("wordcount", "{}")] {
        let mut answers = Vec::new();
        for slots in [1, 2, 4] {
            let host = Host::new(slots, Limits::default());
            let app = app(&host, name);
            for parts in [1, 3] {
                let whole = text.len();
                let cuts: Vec<usize> = (0..=parts).map(|part| whole * part / parts).collect();
                let at_line = |cut: usize| text[..cut].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let pieces = cuts.windows(2).map(|cut| {
                    let from = at_line(cut[0]);
                    let to = at_line(cut[1]);
                    let key = if parts == 1 { "f".to_owned() } else { format!("f#{from}+{}", to - from) };
                    Partition::new(key.as_str(), text.slice(from..to))
                });
                let plan = Plan::new(pieces.collect()).unwrap();
                let request = Request { floor: frond_root::Floor::All, ..app.request(query) };
                let asked = host.runtime.block_on(app.ask(request, plan));
                let coverage = asked.answer.coverage();
                assert!(coverage.complete, "{name}, {slots} slots, {parts} parts: {coverage:?}");
                answers.push(asked.body().clone());
            }
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{name}");
    }
}

/// Content of a range from 0, as a `range` source makes it.
#[derive(Debug)]
struct Integers(u64);

impl Integers {
    fn json(&self) -> Bytes {
        Bytes::from(format!(r#"{{"start":0,"end":{}}}"#, self.0))
    }
}

impl Content for Integers {
    fn size(&self) -> u64 {
        self.json().len() as u64
    }

    fn units(&self) -> Units {
        Units { count: self.0, grain: Grain::Integer }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.json().read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(self.json())
    }
}

#[test]
fn a_leaf_of_integers_refuses_a_content_whose_pieces_are_bytes() {
    let host = Host::new(1, Limits::default());
    let app = app(&host, "pi");
    let whole = app.call(&host, "{}", Partition::new("a", Integers(1000)));
    assert_eq!(whole.json()["samples"], 1000);
    let written = Bytes::from_static(br#"{"start": 0, "end": 1000}"#);
    let failure = app.call(&host, "{}", Partition::new("a", written)).failure();
    assert_eq!(failure.kind, FailureKind::InvalidPartition);
    assert!(failure.message.contains("count bytes, not integers"), "{}", failure.message);
}

#[test]
fn a_reader_of_bytes_has_the_content_of_a_range_once() {
    for (slots, integers) in [(1, 0), (1, 1), (2, 1_000_000), (4, 1_000_000_000)] {
        let host = Host::new(slots, Limits::default());
        let asked = app(&host, "wordcount").call(&host, "{}", Partition::new("a", Integers(integers)));
        // `start`, `end` and the two integers.
        assert_eq!(asked.json()["total"], 4, "{integers} integers on {slots} slots");
    }
}

//! Comparison of the readers of pieces in four languages: wherever the host cuts and whatever the
//! size of the pieces, each gives every record, byte and integer exactly once.

use std::collections::{HashMap, VecDeque};
use std::iter;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};

use bytes::Bytes;
use frond_root::plan::{Grain, Units};
use frond_root::share::{Share, Stretch};
use frond_root::{
    AttemptId, Content, Emission, Failure, FailureKind, LeafRunner, Limit, Outcome, Partition, PieceSizes, Scope,
    StopReason, Tenant, Ticket, Work,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::time::Instant;

use crate::{DEADLINE, Rig, kit};

#[test]
fn in_rust() {
    check(&Rig::new(&kit::plugin("readers")));
}

#[test]
fn in_python() {
    check_language("python");
}

#[test]
fn in_javascript() {
    check_language("javascript");
}

#[test]
fn in_c() {
    check_language("c");
}

fn check_language(language: &str) {
    let path = kit::root().join("target/plugins").join(language).join("readers.wasm");
    if !path.is_file() {
        return kit::skip_without(&format!("the readers in {language}"), &format!("make guests-{language}"));
    }
    check(&Rig::new(Path::new(&path)));
}

fn check(rig: &Rig) {
    let small = ("[a;]{0,60}", prop::collection::vec(0_u64..60, 0..4), 1_u64..20);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&small, |(content, cuts, piece)| {
        for reader in ["r;", "b;", "c"] {
            check_bytes(rig, reader, content.as_bytes(), &cuts, piece);
        }
        Ok(())
    });
    checked.unwrap();
    let numbers = (-1000_i64..1000, 0_u64..1000, prop::collection::vec(0_u64..1000, 0..4), 1_u64..200);
    let mut runner = TestRunner::new(Config { cases: 32, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&numbers, |(start, count, cuts, piece)| {
        check_integers(rig, start, count, &cuts, piece);
        Ok(())
    });
    checked.unwrap();
    // Records that are longer than a read, and pieces that are.
    let long = [vec![b'x'; 1_500_000], b";".to_vec(), b"yy;".repeat(1_000_000), vec![b'z'; 10_000]].concat();
    for reader in ["b;", "c"] {
        check_bytes(rig, reader, &long, &[1, 1_500_000, 1_500_001, 4_000_000], 2_000_000);
    }
    let many = rig.shares("c", Partition::new("a", Bytes::from_static(&[0; 100])), between(&[], 100), 1);
    assert!(!many.kept.is_empty());
    let failure = rig.shares("i", Partition::new("a", Bytes::from_static(b"{}")), between(&[], 2), 2).failed();
    assert_eq!(failure.kind, FailureKind::InvalidPartition);
    assert!(failure.message.starts_with("its pieces count bytes, not integers\n"), "{failure:?}");
}

/// Checks that shares between these cuts have all of the content, each its own part, and that what
/// was kept is the part of the pieces before.
fn check_bytes(rig: &Rig, reader: &str, content: &[u8], cuts: &[u64], piece: u64) {
    let partition = Partition::new("a", Bytes::copy_from_slice(content));
    for (share, partial) in rig.shares(reader, partition, between(cuts, content.len() as u64), piece).partials() {
        let expected = expected(reader, content, share.clone());
        assert_eq!(joined(reader, &partial), expected, "{reader} {share:?} of {}", content.escape_ascii());
    }
}

/// Checks the same for a range, of which readers of bytes must give the content once.
fn check_integers(rig: &Rig, start: i64, count: u64, cuts: &[u64], piece: u64) {
    let content = Range { start, end: start.checked_add_unsigned(count).unwrap() };
    let json = Integers(content.clone()).json();
    for reader in ["i", "b,", "c"] {
        let partition = Partition::new("a", Integers(content.clone()));
        for (share, partial) in rig.shares(reader, partition, between(cuts, count), piece).partials() {
            let all = if share.start == 0 { 0..json.len() as u64 } else { 0..0 };
            let expected = match reader {
                "i" if share.is_empty() => Vec::new(),
                "i" => vec![(
                    start.wrapping_add_unsigned(share.start).to_string(),
                    start.wrapping_add_unsigned(share.end).to_string().into_bytes(),
                )],
                _ => self::expected(reader, &json, all),
            };
            assert_eq!(joined(reader, &partial), expected, "{reader} {share:?} of {content:?}");
        }
    }
}

/// The shares between these cuts of so many units; one empty share of none.
fn between(cuts: &[u64], units: u64) -> Vec<Range<u64>> {
    let mut cuts: Vec<u64> = cuts.iter().map(|cut| (*cut).min(units)).chain([0, units]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    if units == 0 { iter::once(0..0).collect() } else { cuts.windows(2).map(|cut| cut[0]..cut[1]).collect() }
}

/// Items of a report: numbers, and bytes.
type Items = Vec<(String, Vec<u8>)>;

/// Items that a reader must give of a share, with adjacent blocks, chunks and ranges joined.
fn expected(reader: &str, content: &[u8], share: Range<u64>) -> Items {
    if reader == "c" {
        let bytes = &content[share.start as usize..share.end as usize];
        return if bytes.is_empty() { Vec::new() } else { vec![(String::new(), bytes.to_vec())] };
    }
    let delimiter = reader.as_bytes()[1];
    let mut offset = 0;
    let mut found: Items = Vec::new();
    for record in content.split_inclusive(|byte| *byte == delimiter) {
        let is_own = share.contains(&offset);
        match (reader.as_bytes()[0], found.last_mut()) {
            _ if !is_own => {}
            (b'b', Some((_, block))) => block.extend_from_slice(record),
            (b'b', None) => found.push((offset.to_string(), record.to_vec())),
            _ => found.push((String::new(), record.strip_suffix(&[delimiter]).unwrap_or(record).to_vec())),
        }
        offset += record.len() as u64;
    }
    found
}

/// The items of a partial, with adjacent blocks, chunks and ranges joined.
fn joined(reader: &str, partial: &[u8]) -> Items {
    let mut found: Items = Vec::new();
    let mut rest = partial;
    let mut next = None;
    while let Some(line) = rest.iter().position(|byte| *byte == b'\n') {
        let numbers = std::str::from_utf8(&rest[..line]).unwrap();
        rest = &rest[line + 1..];
        let (first, last) = numbers.split_once(' ').unwrap_or(("", numbers));
        if reader == "i" {
            match found.last_mut().filter(|(_, end)| end == first.as_bytes()) {
                Some((_, end)) => *end = last.as_bytes().to_vec(),
                None => found.push((first.to_owned(), last.as_bytes().to_vec())),
            }
            continue;
        }
        let (bytes, after) = rest.split_at(last.parse().unwrap());
        rest = after;
        let offset = first.parse::<usize>().ok();
        match found.last_mut().filter(|_| reader == "c" || (offset.is_some() && offset == next)) {
            Some((_, block)) => block.extend_from_slice(bytes),
            None => found.push((first.to_owned(), bytes.to_vec())),
        }
        next = offset.map(|offset| offset + bytes.len());
    }
    assert_eq!(rest, b"");
    found
}

impl Rig {
    /// Runs the leaf on these shares of a partition, in pieces of `piece` units.
    fn shares(&self, reader: &str, partition: Partition, shares: Vec<Range<u64>>, piece: u64) -> Ends {
        let (ends, ended) = mpsc::channel();
        let count = shares.len();
        let work = Arc::new(Shares {
            query: Bytes::copy_from_slice(reader.as_bytes()),
            tenant: Tenant::default(),
            partition,
            piece,
            left: Mutex::new(shares.into()),
            cursors: Mutex::default(),
            ends,
        });
        self.leaves.attach(work.clone());
        let mut found = Ends { kept: Vec::new(), ended: Vec::new() };
        while found.ended.len() < count {
            match ended.recv_timeout(DEADLINE).unwrap() {
                End::Kept(share, partial) => found.kept.push((share, partial)),
                End::Ended(share, result) => found.ended.push((share, result)),
            }
        }
        found
    }
}

/// Partials and failures of shares.
struct Ends {
    kept: Vec<(Range<u64>, Bytes)>,
    ended: Vec<(Range<u64>, Result<Bytes, Failure>)>,
}

impl Ends {
    /// All partials, each with the units that it covers.
    fn partials(self) -> impl Iterator<Item = (Range<u64>, Bytes)> {
        let ended = self.ended.into_iter().map(|(share, result)| (share, result.unwrap()));
        ended.chain(self.kept)
    }

    fn failed(self) -> Failure {
        self.ended.into_iter().next().unwrap().1.unwrap_err()
    }
}

/// Partial or failure of a share.
enum End {
    Kept(Range<u64>, Bytes),
    Ended(Range<u64>, Result<Bytes, Failure>),
}

/// Shares of one partition, handed out in pieces of one size.
#[derive(Debug)]
struct Shares {
    query: Bytes,
    tenant: Tenant,
    partition: Partition,
    piece: u64,
    left: Mutex<VecDeque<Range<u64>>>,
    /// Of each attempt its share, and the unit after its latest piece.
    cursors: Mutex<HashMap<AttemptId, (Range<u64>, u64)>>,
    ends: mpsc::Sender<End>,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("End")
    }
}

impl Work for Shares {
    fn query(&self) -> &Bytes {
        &self.query
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn background(&self) -> Option<u32> {
        None
    }

    fn only(&self) -> Option<&Partition> {
        None
    }

    fn claim(&self, slot: u32, now: Instant) -> Option<Ticket> {
        let share = self.left.lock().unwrap().pop_front()?;
        let mut cursors = self.cursors.lock().unwrap();
        let id = AttemptId { partition: 0, number: cursors.len() as u32 + 1 };
        cursors.insert(id, (share.clone(), share.start));
        let stretch = Stretch { begin: share.start, end: share.end, ..Stretch::whole(0) };
        Some(Ticket {
            id,
            slot,
            claimed: now,
            deadline: now + DEADLINE,
            limit: Limit::time(Scope::Query, DEADLINE),
            partition: self.partition.clone(),
            share: Some(Arc::new(Share::new(self.partition.content.units(), stretch, PieceSizes::Timed))),
            cut_from: None,
            copy_of: None,
            worker: None,
            began: None,
        })
    }

    fn is_claimable(&self) -> bool {
        !self.left.lock().unwrap().is_empty()
    }

    fn running(&self) -> usize {
        0
    }

    fn cut(&self, _: u32, _: Instant) -> Option<Ticket> {
        None
    }

    fn is_cuttable(&self, _: Instant) -> bool {
        false
    }

    fn on_cuttable(&self, _: Box<dyn Fn() + Send + Sync>) {}

    fn poll_piece(&self, ticket: &Ticket, _: Instant, _: &mut Context<'_>) -> Poll<Option<Range<u64>>> {
        let mut cursors = self.cursors.lock().unwrap();
        let piece = cursors.get_mut(&ticket.id).map(|(share, cursor)| {
            let begin = *cursor;
            *cursor = (begin + self.piece).min(share.end);
            begin..*cursor
        });
        Poll::Ready(piece.filter(|piece| !piece.is_empty()))
    }

    fn is_closed(&self) -> bool {
        !self.is_claimable()
    }

    fn stop(&self, _: AttemptId) -> Option<StopReason> {
        None
    }

    fn on_stop(&self, _: Box<dyn Fn() + Send + Sync>) {}

    fn start(&self, _: &Ticket, _: Instant) {}

    fn wait(&self, _: AttemptId) {}

    fn resume(&self, _: AttemptId) {}

    fn may_resume(&self) -> bool {
        true
    }

    fn retract(&self, id: AttemptId) {
        panic!("{id:?} is no inline run, and is not made again");
    }

    fn emit(&self, id: AttemptId, emission: Emission) {
        let (share, cursor) = self.cursors.lock().unwrap()[&id].clone();
        let _ = self.ends.send(End::Kept(share.start..cursor, emission.partial));
    }

    fn end(&self, ticket: Ticket, outcome: Outcome, _: Instant) {
        let (share, _) = self.cursors.lock().unwrap()[&ticket.id].clone();
        let _ = self.ends.send(End::Ended(share, outcome.result.map_err(|failure| *failure)));
    }

    fn give_back(&self, _: Ticket) {}
}

/// Content of a range, as a `range` source makes it.
#[derive(Debug)]
struct Integers(Range<i64>);

impl Integers {
    fn json(&self) -> Bytes {
        Bytes::from(format!(r#"{{"start":{},"end":{}}}"#, self.0.start, self.0.end))
    }
}

impl Content for Integers {
    fn size(&self) -> u64 {
        self.json().len() as u64
    }

    fn units(&self) -> Units {
        Units { count: self.0.end.abs_diff(self.0.start), grain: Grain::Integer }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.json().read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(self.json())
    }
}

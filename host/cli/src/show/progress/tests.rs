//! Displays of running queries.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressDrawTarget};
use proptest::prelude::*;

use super::bar::{Bar, Picture};
use super::board::Board;
use super::*;
use crate::show::fixtures::arbitrary::*;
use crate::show::fixtures::*;
use frond_root::{Event, Failure, FailureKind, Floor, Status};

fn board(stream: &Stream) -> Board {
    let mut board = Board::default();
    stream.events.iter().for_each(|event| board.take(event));
    board
}

fn check(stream: &Stream, ms: u64) -> String {
    Picture::of(&board(stream), ms * 1000).render(TermStyle::plain(100))
}

#[test]
fn the_line_tells_what_is_done_and_what_is_left() {
    let gone = Failure::new(FailureKind::Unavailable, "gone");
    let stream = Stream::new(5, Floor::All)
        .leaf(2, 28, 0, 0)
        .start(2, 2, 1, 1)
        .start(3, 1, 1, 2)
        .end(9, 1, 1, 2, Some(gone))
        .retry(9, 1, 2, 30)
        .start(31, 1, 2, 2)
        .missing(40, 3, Status::Failed, Some(FailureKind::Trap));
    insta::assert_snapshot!(check(&stream, 431), @r"
    rail  ████················  1/5 partitions, 20 % · 1.50 s left · 1 missing · 1 failure · 1 retry
      Scotland        429 ms
      South East      400 ms   attempt 2
    ");
}

#[test]
fn only_the_slowest_leaves_are_listed() {
    let mut stream = Stream::new(3000, Floor::All);
    for partition in 0..1200 {
        stream = stream.start(1200 - u64::from(partition), partition, 1, partition);
    }
    insta::assert_snapshot!(check(&stream, 1500), @r"
    rail  ····················  0/3,000 partitions, 0 % · 500 ms left
      data/2026/part-01199.csv      1.49 s
      data/2026/part-01198.csv      1.49 s
      data/2026/part-01197.csv      1.49 s
      data/2026/part-01196.csv      1.49 s
      data/2026/part-01195.csv      1.49 s
      data/2026/part-01194.csv      1.49 s
      data/2026/part-01193.csv      1.49 s
      data/2026/part-01192.csv      1.49 s
      and 1,192 more
    ");
}

#[test]
fn phases_have_words() {
    let mut planning = Stream::new(5, Floor::All);
    planning.events.truncate(1);
    let merging = Stream::new(5, Floor::All).leaf(2, 9, 0, 0).gathered(9, frond_root::event::GatherEnd::AllSettled);
    let lines = [check(&Stream::default(), 0), check(&planning, 3), check(&merging, 11), check(&merging, 2100)];
    insta::assert_snapshot!(lines.join("\n"), @r"
      planning · 0 µs left
    rail  planning · 1.90 s left
    rail  merging 1 partial · 1.90 s left
    rail  merging 1 partial · past the deadline
    ");
}

/// A writer that collects its output.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines_of(stream: &Stream, quiet: u64) -> String {
    let sink = Sink::default();
    let progress = Progress::of(Lines::new(sink.clone(), true, quiet));
    let listener = progress.listener().expect("a listener");
    stream.events.iter().for_each(|event| listener.event(event));
    progress.finish();
    sink.text()
}

#[test]
fn lines_tell_of_the_start_failures_tenths_and_the_end() {
    insta::assert_snapshot!(lines_of(&retried(), 0), @r"
    frond: 0 µs rail: planning, deadline 2.00 s
    frond: 1.0 ms rail: 3 partitions
    frond: 30.0 ms 1 of 3 partitions, 33.3 %
    frond: 12.0 ms South East, attempt 1, failed: unavailable: no route to the store
    frond: 12.0 ms South East, attempt 2, will start at 40.0 ms
    frond: 4.0 ms Scotland, attempt 1, failed: unavailable: no route to the store
    frond: 4.0 ms Scotland, attempt 2, will start at 20.0 ms
    frond: 60.0 ms Scotland, attempt 2, failed: unavailable: no route to the store
    frond: 60.0 ms Scotland, attempt 3, will start at 90.0 ms
    frond: 70.0 ms 2 of 3 partitions, 66.6 %
    frond: 140 ms 3 of 3 partitions, 100 %
    frond: 140 ms the gather has ended, merging
    frond: 150 ms complete, 100 % covered
    ");
}

#[test]
fn quiet_lines_say_nothing_of_a_fast_query() {
    assert_eq!(lines_of(&retried(), 2_000_000), "");
}

#[test]
fn quiet_lines_begin_with_where_the_query_stands() {
    insta::assert_snapshot!(lines_of(&stalled(), 50_000), @r"
    frond: 65.0 ms rail: 4 of 5 partitions, 80 %
    frond: 1.80 s the gather has ended, merging
    frond: 1.81 s partial, 83.1 % covered
    ");
}

#[test]
fn ten_thousand_partitions_take_few_lines() {
    let text = lines_of(&many(10_000), 0);
    assert!(text.lines().count() < 40, "{text}");
    assert!(text.contains("9,000 of 10,000 partitions, 90 %"), "{text}");
}

#[test]
fn json_lines_are_the_events() {
    let sink = Sink::default();
    let stream = stalled();
    {
        let progress = Progress::of(Json::new(sink.clone()));
        let listener = progress.listener().expect("a listener");
        stream.events.iter().for_each(|event| listener.event(event));
    }
    let events: Vec<Event> = sink.text().lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert!(events == stream.events);
}

/// A writer that blocks until the lock is released.
struct Stuck(Arc<Mutex<()>>, Sink);

impl io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _wait = self.0.lock().expect("no panic");
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_reader_does_not_block_the_query_and_is_told_what_it_missed() {
    let gate = Arc::new(Mutex::new(()));
    let sink = Sink::default();
    let progress = Progress::of(Json::new(Stuck(gate.clone(), sink.clone())));
    let listener = progress.listener().expect("a listener");
    let stream = many(40_000);
    let held = gate.lock().expect("no panic");
    stream.events.iter().for_each(|event| listener.event(event));
    drop(held);
    progress.finish();
    let text = sink.text();
    // There may be several gaps, if the buffer was full before the writer took its first batch.
    let gaps: Vec<serde_json::Value> = text
        .lines()
        .filter(|line| line.contains("\"missed\""))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(!gaps.is_empty(), "nothing was missed");
    let missed: u64 = gaps.iter().map(|gap| gap["count"].as_u64().expect("a count")).sum();
    let delivered = (text.lines().count() - gaps.len()) as u64;
    assert_eq!(delivered + missed, stream.events.len() as u64);
    assert!(text.lines().last().expect("a line").contains("query-ended"));
}

#[test]
fn the_bar_is_drawn_without_events_and_taken_away_at_the_end() {
    let term = InMemoryTerm::new(20, 100);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let progress = Progress::of(Bar::new(|| TermStyle::plain(100), target));
    let listener = progress.listener().expect("a listener");
    let events = Stream::new(5, Floor::All).leaf(2, 28, 0, 0).start(3, 2, 1, 1).start(3, 3, 1, 2).events;
    events.iter().for_each(|event| listener.event(event));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(20));
        seen.insert(term.contents());
    }
    assert!(seen.len() >= 3, "{seen:?}");
    let last = seen.last().expect("a screen");
    assert!(last.contains("1/5 partitions, 20 %") && last.contains("Scotland"), "{last}");
    progress.finish();
    assert_eq!(term.contents(), "");
}

#[test]
fn a_bar_that_nothing_happened_to_is_gone_at_once() {
    let term = InMemoryTerm::new(20, 100);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    drop(Progress::of(Bar::new(|| TermStyle::plain(100), target)));
    assert_eq!(term.contents(), "");
}

#[test]
fn no_progress_wants_no_events() {
    assert!(Progress::stderr(Mode::None).listener().is_none());
}

proptest! {
    #[test]
    fn any_events_are_drawn_within_the_width(events in any_events(), width in 20_usize..140, unicode: bool, now: u64) {
        let mut board = Board::default();
        events.iter().for_each(|event| board.take(event));
        let style = TermStyle { unicode, ..TermStyle::plain(width) };
        let text = Picture::of(&board, now).render(style);
        assert_is_safe(&text, style.width - 1);
        prop_assert!(text.lines().count() <= 2 + board::MAX_LEAVES);
    }

    #[test]
    fn any_events_are_told_in_safe_lines(events in any_events()) {
        let text = lines_of(&Stream { events, ..Stream::default() }, 0);
        assert_is_safe(&text, usize::MAX);
    }
}

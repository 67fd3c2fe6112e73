//! Snapshots of whole explanations, and properties of any explanation.

use proptest::prelude::*;

use super::*;
use crate::record::Recorder;
use crate::show::fixtures::arbitrary::*;
use crate::show::fixtures::*;
use frond_root::answer::UnitTally;
use frond_root::event::EndedPart;
use frond_root::{Coverage, Floor, Listener};

fn check(stream: &Stream) -> String {
    explain(&Model::of(&stream.events), Ending::Whole, TermStyle::plain(100))
}

#[test]
fn warm_and_fresh_instances_are_told_apart() {
    let stream = Stream::new(3, Floor::All).leaf(2, 28, 0, 0).warm(28, 30, 1, 0, 1).warm(30, 33, 2, 0, 2);
    let text = check(&stream.gathered(33, frond_root::event::GatherEnd::AllSettled));
    assert!(text.contains("2 of 3 attempts ran warm: the instance had served earlier partitions"), "{text}");
    assert!(text.contains("3 attempts, 2 warm"), "{text}");
    let fresh = text.lines().filter(|line| line.contains(", fresh,"));
    assert!(fresh.map(|line| line.starts_with("London")).eq([true]), "{text}");
    assert!(!check(&stalled()).contains("fresh"));
}

#[test]
fn waits_without_a_slot_are_no_slot_time() {
    let stream = Stream::new(2, Floor::All).start(2, 0, 1, 0).start(4, 1, 1, 0);
    let stream = stream.end_after(100, 0, 0, &[(4, 99)]).end_after(102, 1, 0, &[(6, 100)]);
    let text = check(&stream.gathered(102, frond_root::event::GatherEnd::AllSettled));
    assert!(text.contains("2 of 2 attempts waited without a slot, 189 ms in all"), "{text}");
    assert!(text.contains("1 used of 4, busy 1.7 % of the time"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("wait without one") && line.contains("95.0 ms")), "{text}");
    assert!(!check(&stalled()).contains("without"), "leaves that hold their slots are told as ever");
}

#[test]
fn cuts_and_what_was_redone_are_told() {
    let part = |begin, end| EndedPart { begin, done: end, end, of: 400, dropped: 0 };
    let stream = Stream::new(1, Floor::All).part((2, 40), (0, 1, 0), part(0, 200), None);
    let stream = stream.part((4, 38), (0, 2, 1), part(200, 400), Some(1));
    let units = UnitTally { planned: 400, taken: 400, saved: 120, redone: 30, ..UnitTally::default() };
    let coverage = Coverage { units, ..coverage(1, 41.0, Vec::new()) };
    let stream = stream.gathered(40, frond_root::event::GatherEnd::AllSettled).over(41, "complete", None, coverage);
    let text = check(&stream);
    assert!(text.contains("units    in parts: 400 taken · 120 saved by a kept partial · 30 run again"), "{text}");
    let rows: Vec<_> = text.lines().filter(|line| line.contains("1 cut") || line.contains("cut from")).collect();
    let [first, second] = rows[..] else { panic!("{text}") };
    assert!(first.starts_with("London") && first.contains("38.0 ms") && first.ends_with("2 attempts, 1 cut"), "{text}");
    assert!(second.ends_with("200..400 cut from attempt 1"), "{text}");
    // The cut half waited for nothing before it was cut off.
    assert!(!second.contains('·'), "{text}");
    assert!(!check(&stalled()).contains("units"), "queries without parts are told as ever");
}

#[test]
fn a_stalled_query_is_explained() {
    insta::assert_snapshot!(check(&stalled()), @r"
    rail   query 019a5b3c7d8e0f1122334455667788aa   2026-01-01 00:00:00 UTC
    5 partitions · 4 slots · deadline 2.00 s · floor 60 % · weight 5,000
    partial  4 of 5 partitions, 83.1 % by weight, in 1.81 s of 2.00 s   (floor 60 %)
    missing  Scotland   timed out   out-of-time: still running after 1.79 s, cut off at the gather's end
    time     plan 1.0 ms · gather 1.80 s · merge 3.0 ms · reserve 200 ms

    waterfall
    London      █                                                | |    |  26.0 ms
    South East  █                                                | |    |  18.0 ms
    Scotland    ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒    |  1.79 s, timed out, 86× median
    Wales       █                                                | |    |  21.0 ms
    Yorkshire   ██                                               | |    |  24.0 ms
    merge        █                                               | |    |  1 merge
    finish                                                       | █    |  9.0 ms
                +-------------+-------------+-------------+-------------+
                0             500 ms        1.00 s        1.50 s        2.00 s
    · queued   █ running   ▒ cut off or not used   x failed   | deadline: leaf 1.75 s, gather 1.80 s,
      query 2.00 s

    critical path
    plan                               1.0 ms  <0.1 %
    Scotland waits for a slot          2.0 ms   0.1 %
    Scotland runs, and is cut off      1.79 s  99.2 %
    merge waits                        1.0 ms  <0.1 %
    finish                             9.0 ms   0.4 %

    stragglers
    Scotland      1.79 s   86× median, and was cut off

    times (quantiles by nearest rank)
                            n          p50          p90          p99          max
    leaf, succeeded         4      21.0 ms      26.0 ms      26.0 ms      26.0 ms
    wait for a slot         5       2.0 ms      20.0 ms      20.0 ms      20.0 ms
    merge                   1       2.0 ms       2.0 ms       2.0 ms       2.0 ms

    slots
    4 used of 4, busy 26.2 % of the time from the plan to the gather's end
    slot 0   ······························   1.4 %   1 attempt
    slot 1   █·····························   2.3 %   2 attempts
    slot 2   ██████████████████████████████  99.8 %   1 attempt
    slot 3   ······························   1.1 %   1 attempt
    ");
}

#[test]
fn a_failed_query_is_explained() {
    insta::assert_snapshot!(check(&below_floor()), @r"
    rail   query 019a5b3c7d8e0f1122334455667788aa   2026-01-01 00:00:00 UTC
    5 partitions · 4 slots · deadline 2.00 s · floor 60 % · weight 5,000
    failed   too little arrived to answer
             1 of 5 partitions, 40 % by weight, in 31.0 ms of 2.00 s   (floor 60 %)
    required but missing: Scotland
    missing  London       failed      trap: wasm trap: unreachable instruction executed
             South East   failed      trap: wasm trap: unreachable instruction executed
             Scotland     failed      trap: wasm trap: unreachable instruction executed
             Wales        cancelled
    time     plan 1.0 ms · gather 27.0 ms · merge 3.0 ms · reserve 200 ms

    waterfall
    London       ··██████████████x                                       8.0 ms, trap
    South East   ··████████████████████████████x                         16.0 ms, trap
    Scotland     ··███████████████████████████████████████████x          24.0 ms, trap
    Wales        ················▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒          16.0 ms, cancelled, 2.3× median
    Yorkshire    ··█████████████                                         7.0 ms
                +----------------+-----------------+-----------------+-
                0                10.0 ms           20.0 ms           30.0 ms
    · queued   █ running   ▒ cut off or not used   x failed   (deadline beyond the axis: leaf 1.75 s,
      gather 1.80 s, query 2.00 s)

    critical path
    plan                                1.0 ms   3.2 %
    Scotland waits for a slot           1.0 ms   3.2 %
    Scotland runs, and fails: trap     24.0 ms  77.4 %
    answer                              5.0 ms  16.1 %

    stragglers
    Wales     16.0 ms   2.3× median, and was cut off

    times (quantiles by nearest rank)
                            n          p50          p90          p99          max
    leaf, succeeded         1       7.0 ms       7.0 ms       7.0 ms       7.0 ms
    wait for a slot         5       1.0 ms       9.0 ms       9.0 ms       9.0 ms

    slots
    4 used of 4, busy 71 % of the time from the plan to the gather's end
    slot 0   ██████████····················    32 %   1 attempt
    slot 1   ███████████████████···········    64 %   1 attempt
    slot 2   █████████████████████████████·    96 %   1 attempt
    slot 3   ████████████████████████████··    92 %   2 attempts

    failures
    3 trap, first at London, attempt 1: wasm trap: unreachable instruction executed
          0: rail_leaf::parse::level_0
          1: rail_leaf::parse::level_1
          2: rail_leaf::parse::level_2
          3: rail_leaf::parse::level_3
          4: rail_leaf::parse::level_4
             and 2 more frames
        log: reading 3 columns
        log: panicked at src/lib.rs:42: \u{1b}[31mno column 4
    ");
}

#[test]
fn a_query_without_partitions_is_explained() {
    insta::assert_snapshot!(check(&empty()), @r"
    rail   query 019a5b3c7d8e0f1122334455667788aa   2026-01-01 00:00:00 UTC
    0 partitions · 4 slots · deadline 2.00 s · floor: all · weight 0
    complete the plan has no partitions, in 5.0 ms of 2.00 s   (floor 60 %)
    time     plan 1.0 ms · gather 1.0 ms · merge 3.0 ms · reserve 200 ms

    waterfall
    finish                               █████████████████████████████████████████████████████  2.0 ms
               +------------+------------+------------+------------+------------+------------+
               0            500 µs       1.0 ms       1.5 ms       2.0 ms       2.5 ms       3.0 ms
    · queued   █ running   ▒ cut off or not used   x failed   (deadline beyond the axis: leaf 1.75 s,
      gather 1.80 s, query 2.00 s)

    critical path
    plan        1.0 ms  33.3 %
    finish      2.0 ms  66.6 %
    ");
}

#[test]
fn a_single_partition_is_explained() {
    let stream = Stream::new(1, Floor::All)
        .leaf(2, 9, 0, 0)
        .gathered(9, frond_root::event::GatherEnd::AllSettled)
        .finish(9)
        .over(10, "complete", None, coverage(1, 10.0, Vec::new()));
    insta::assert_snapshot!(check(&stream), @r"
    rail   query 019a5b3c7d8e0f1122334455667788aa   2026-01-01 00:00:00 UTC
    1 partition · 4 slots · deadline 2.00 s · floor: all · weight 1,000
    complete 1 of 1 partition, in 10.0 ms of 2.00 s   (floor 60 %)
    time     plan 1.0 ms · gather 6.0 ms · merge 3.0 ms · reserve 200 ms

    waterfall
    London            ········█████████████████████████████████████████████████████████         7.0 ms
    finish                                                                            ████████  1.0 ms
               +--------------+---------------+---------------+---------------+--------------+
               0              2.0 ms          4.0 ms          6.0 ms          8.0 ms         10.0 ms
    · queued   █ running   ▒ cut off or not used   x failed   (deadline beyond the axis: leaf 1.75 s,
      gather 1.80 s, query 2.00 s)

    critical path
    plan                         1.0 ms    10 %
    London waits for a slot      1.0 ms    10 %
    London runs                  7.0 ms    70 %
    finish                       1.0 ms    10 %

    times (quantiles by nearest rank)
                            n          p50          p90          p99          max
    leaf, succeeded         1       7.0 ms       7.0 ms       7.0 ms       7.0 ms
    wait for a slot         1       1.0 ms       1.0 ms       1.0 ms       1.0 ms

    slots
    1 used of 4, busy 21.8 % of the time from the plan to the gather's end
    slot 0   ██████████████████████████····  87.5 %   1 attempt
    ");
}

#[test]
fn a_recording_that_stops_says_where() {
    let stream = Stream::new(5, Floor::All).leaf(2, 9, 0, 0).start(3, 1, 1, 1);
    let model = Model::of(&stream.events);
    let text = explain(&model, Ending::Cut { line: 6 }, TermStyle::plain(80));
    insta::assert_snapshot!(text.lines().take(7).collect::<Vec<_>>().join("\n"), @r"
    rail   query 019a5b3c7d8e0f1122334455667788aa   2026-01-01 00:00:00 UTC
    5 partitions · 4 slots · deadline 2.00 s · floor: all · weight 5,000
    no end   the recording stops in the middle of line 6, 9.0 ms into the query,
             with 1 of 5 partitions settled: the query was killed, or still runs

    waterfall
    London           ·····███████████████████████████████████  7.0 ms
    ");
}

#[test]
fn nothing_at_all_is_explained() {
    let text = explain(&Model::default(), Ending::Early { lines: 0 }, TermStyle::plain(80));
    assert!(text.starts_with("the query's start is not recorded\n"), "{text}");
}

#[test]
fn a_file_of_a_hundred_thousand_partitions_is_explained_briefly() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run.ndjson");
    let recorder = Recorder::create(&path).expect("a file");
    many(100_000).events.iter().for_each(|event| recorder.event(event));
    recorder.finish().expect("it was written");
    let text = file(&path, TermStyle::plain(100)).expect("a recording");
    assert!(text.contains("and 99,960 more"), "{text}");
    assert!(text.lines().count() < 150);
}

proptest! {
    #[test]
    fn any_events_are_explained_within_the_width(
        events in any_events(),
        width in 20_usize..140,
        unicode: bool,
        colour: bool,
        line: u64,
    ) {
        let style = TermStyle { unicode, colour, ..TermStyle::plain(width) };
        let text = explain(&Model::of(&events), Ending::Cut { line }, style);
        assert_is_safe(&text, style.width);
    }
}

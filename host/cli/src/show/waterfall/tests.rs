//! Snapshots of waterfall charts.

use super::*;
use crate::show::fixtures::*;
use crate::show::style::TermStyle;
use frond_root::Floor;

fn check(stream: &Stream, style: TermStyle) -> String {
    let mut page = Page::new(style);
    waterfall(&mut page, &Model::of(&stream.events));
    page.into_text()
}

#[test]
fn every_partition_has_a_lane() {
    insta::assert_snapshot!(check(&complete(), TermStyle::plain(100)), @r"
    London      ·███████████████████                                                26.0 ms
    South East  ·█████████████                                                      18.0 ms
    Scotland    ·███████████████████████████                                        38.0 ms
    Wales       ··███████████████                                                   21.0 ms
    Yorkshire   ··············█████████████████████████████████████████████████     71.0 ms, 2.7× median
    merge                                   ██                                ██    2 merges
    finish                                                                     ███  3.0 ms
                +------------+-------------+------------+-------------+-----------
                0            20.0 ms       40.0 ms      60.0 ms       80.0 ms
    · queued   █ running   ▒ cut off or not used   x failed   (deadline beyond the axis: leaf 1.75 s,
      gather 1.80 s, query 2.00 s)
    ");
}

#[test]
fn a_cut_off_leaf_runs_up_to_the_deadline() {
    insta::assert_snapshot!(check(&stalled(), TermStyle::plain(100)), @r"
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
    ");
}

#[test]
fn retries_share_their_partitions_lane() {
    insta::assert_snapshot!(check(&retried(), TermStyle::plain(100)), @r"
    London      ██████████████                                                       28.0 ms
    South East  █████x           ·██████████████                                     29.0 ms, 2 attempts
    Scotland    ·x      ██████████████████x             ███████████████████████      50.0 ms, 3 attempts
    merge                                                                     ███    1 merge
    finish                                                                      ███  5.0 ms
                +---------------------+---------------------+---------------------+
                0                     50.0 ms               100 ms                150 ms
    · queued   █ running   ▒ cut off or not used   x failed   (deadline beyond the axis: leaf 1.75 s,
      gather 1.80 s, query 2.00 s)
    ");
}

#[test]
fn attempts_that_overlap_have_rows_of_their_own() {
    let stream =
        Stream::new(1, Floor::All).start(2, 0, 1, 0).start(40, 0, 2, 1).end(60, 0, 2, 1, None).end(80, 0, 1, 0, None);
    insta::assert_snapshot!(check(&stream, TermStyle::plain(60)), @r"
    London     ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  78.0 ms, …2 attempts
               ·············████████
               +---------------+----------
               0               50.0 ms
    · queued   █ running   ▒ cut off or not used   x failed
      (deadline beyond the axis: leaf 1.75 s, gather 1.80 s,
      query 2.00 s)
    ");
}

#[test]
fn waits_are_thin_lines_between_the_runs() {
    let stream = Stream::new(3, Floor::All)
        .start(1, 0, 1, 0)
        .start(2, 1, 1, 0)
        .start(3, 2, 1, 0)
        .end_after(42, 1, 0, &[(3, 41)])
        .end_after(60, 0, 0, &[(2, 20), (30, 59)])
        .end_after(101, 2, 0, &[(4, 100)]);
    insta::assert_snapshot!(check(&stream, TermStyle::plain(80)), @r"
    London      █───────█████────────────█                   59.0 ms, 47.0 ms waited
    South East  ██───────────────█                           40.0 ms, 38.0 ms waited
    Scotland    ·█────────────────────────────────────────█  98.0 ms, 96.0 ms waited
                +--------------------+--------------------+
                0                    50.0 ms              100 ms
    · queued   █ running   ─ waiting without a slot   ▒ cut off or not used   x
      failed   (deadline beyond the axis: leaf 1.75 s, gather 1.80 s, query 2.00 s)
    ");
}

#[test]
fn ascii_has_signs_for_everything() {
    let style = TermStyle { unicode: false, ..TermStyle::plain(70) };
    let text = check(&below_floor(), style);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text, @r"
    London       .########x                        8.0 ms, trap
    South East   .#################x               16.0 ms, trap
    Scotland     .#########################x       24.0 ms, trap
    Wales        .........%%%%%%%%%%%%%%%%%%       16.0 ms, ca~2.3x median
    Yorkshire    .########                         7.0 ms
                +--------------------+-----------
                0                    20.0 ms
    . queued   # running   % cut off or not used   x failed   (deadline
      beyond the axis: leaf 1.75 s, gather 1.80 s, query 2.00 s)
    ");
}

#[test]
fn a_narrow_terminal_still_shows_the_lanes() {
    insta::assert_snapshot!(check(&stalled(), TermStyle::plain(40)), @r"
    London      █          ||  26.0 ms
    South East  █          ||  18.0 ms
    Scotland    ▒▒▒▒▒▒▒▒▒▒▒▒|  1.79 s…median
    Wales       █          ||  21.0 ms
    Yorkshire   █          ||  24.0 ms
    merge       █          ||  1 merge
    finish                 █|  9.0 ms
                +-----------+
                0           2.00 s
    · queued   █ running   ▒ cut off or not
      used   x failed   | deadline: leaf
      1.75 s, gather 1.80 s, query 2.00 s
    ");
}

#[test]
fn ten_thousand_partitions_are_folded() {
    let text = check(&many(10_000), TermStyle::plain(80));
    assert!(text.contains("and 9,960 more"), "{text}");
    let lines: Vec<_> = text.lines().take(24).map(str::to_owned).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    missing or failed: 20 of 20
    data/2026…-00250.csv  x||                                     13.0 ms, trap
    data/2026…-00750.csv  ·|x                                     19.0 ms, trap
    data/2026…-01250.csv  ·||·x                                   14.0 ms, trap
    data/2026…-01750.csv  ·||···x                                 20.0 ms, trap
    data/2026…-02250.csv  ·||·····x                               15.0 ms, trap
    data/2026…-02750.csv  ·||·······x                             10.0 ms, trap
    data/2026…-03250.csv  ·||·········x                           16.0 ms, trap
    data/2026…-03750.csv  ·||···········x                         11.0 ms, trap
    data/2026…-04250.csv  ·||·············x                       17.0 ms, trap
    data/2026…-04750.csv  ·||··············x                      12.0 ms, trap
    data/2026…-05250.csv  ·||················x                    18.0 ms, trap
    data/2026…-05750.csv  ·||··················x                  13.0 ms, trap
    data/2026…-06250.csv  ·||····················x                19.0 ms, trap
    data/2026…-06750.csv  ·||······················x              14.0 ms, trap
    data/2026…-07250.csv  ·||························x            20.0 ms, trap
    data/2026…-07750.csv  ·||··························x          15.0 ms, trap
    data/2026…-08250.csv  ·||····························x        10.0 ms, trap
    data/2026…-08750.csv  ·||······························x      16.0 ms, trap
    data/2026…-09250.csv  ·||·······························█x    11.0 ms, trap
    data/2026…-09750.csv  ·||·································x   17.0 ms, trap
    slowest of the others: 20 of 9,980
    data/2026…-00077.csv  █||                                     160 ms, 11× median
    South East            █||                                     20.0 ms
    ");
}

#[test]
fn partitions_that_never_ran_are_counted() {
    let stream = Stream::new(100, Floor::All).leaf(2, 9, 0, 0);
    assert!(check(&stream, TermStyle::plain(80)).contains("and 99 more"));
}

#[test]
fn no_partitions_leave_an_empty_axis() {
    insta::assert_snapshot!(check(&empty(), TermStyle::plain(60)), @r"
    finish                  ██████████████████████████  2.0 ms
               +------------+------------+-----------+
               0            1.0 ms       2.0 ms      3.0 ms
    · queued   █ running   ▒ cut off or not used   x failed
      (deadline beyond the axis: leaf 1.75 s, gather 1.80 s,
      query 2.00 s)
    ");
}

#[test]
fn ticks_are_round_and_few() {
    for span in [1, 7, 999, 1_234_567, u64::MAX] {
        let axis = Axis { span, columns: 60 };
        let step = axis.step();
        assert!(span / step <= 60, "{span} in steps of {step}");
        let digit = step.to_string();
        assert!(matches!(digit.trim_end_matches('0'), "1" | "2" | "5"), "{step}");
    }
}

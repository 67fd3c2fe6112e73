//! Output on stderr: the modes of progress, the summary, colours.

use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{frond, lasting, plain};
use crate::{faulty, rail};

#[test]
fn progress_as_lines() {
    let ended =
        faulty(&json!({}), &["ok-1", "trap-1", "ok-2"]).args(["--progress", "lines", "--slots", "1"]).run().expect(3);
    let stderr = plain(&ended.err());
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("frond: ")).collect();
    assert_snapshot!(lines.join("\n"), @"
    frond: [time] faulty: planning, deadline [time]
    frond: [time] faulty: 3 partitions
    frond: [time] 1 of 3 partitions, 33.3 %
    frond: [time] trap-1, attempt 1, failed: trap: panicked or aborted (wasm `unreachable` instruction executed)
    frond: [time] 2 of 3 partitions, 66.6 %
    frond: [time] the gather has ended, merging
    frond: [time] partial, 66.6 % covered
    ");
}

#[test]
fn progress_as_json_is_nothing_but_events() {
    let ended = faulty(&json!({}), &["ok-1", "trap-1"]).args(["--progress", "json", "--slots", "1"]).run().expect(3);
    assert_eq!(ended.events().len(), ended.err().lines().count(), "{}", ended.err());
    let mut names: Vec<_> = ended.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    let mut seen = std::collections::HashSet::new();
    // A gather that receives both results at once does not report the floor after the first.
    names.retain(|name| name != "floor-reached" && seen.insert(name.clone()));
    assert_snapshot!(names.join("\n"), @"
    query-started
    planned
    attempt-started
    attempt-ended
    partition-missing
    gather-ended
    finish-started
    query-ended
    ");
    let first = lasting(ended.events().swap_remove(0));
    assert_snapshot!(first, @r#"{"app":"faulty","at":"[time]","deadline":1000000,"event":"query-started","floor":"best-effort","query":"[id]","slots":1,"unix_ms":"[time]","version":1}"#);
}

#[test]
fn progress_as_a_bar_becomes_lines_without_a_terminal() {
    let ended = rail(None).args(["--progress", "bar"]).run().expect(0);
    assert!(ended.err().contains("frond: "), "{}", ended.err());
    assert!(!ended.err().contains(['\r', '\x1b']), "{:?}", ended.err());
}

#[test]
fn without_progress_the_verdict_on_a_partial_answer_is_still_told() {
    let ended = faulty(&json!({}), &["ok-1", "trap-1"]).args(["--progress", "none"]).run().expect(3);
    assert!(ended.err().starts_with("partial  1 of 2 partitions, 50 % by weight"), "{}", ended.err());
    let whole = faulty(&json!({}), &["ok-1"]).args(["--progress", "none"]).run().expect(0);
    assert_eq!(whole.err(), "");
}

#[test]
fn stats_tell_attempts_fuel_and_memory() {
    let ended = faulty(&json!({}), &["ok-1", "ok-2"]).args(["--stats", "--progress", "none"]).run().expect(0);
    let stderr = plain(&ended.err());
    let labels: Vec<_> = stderr.lines().filter_map(|line| line.split(' ').next()).take(6).collect();
    assert_eq!(labels, ["complete", "time", "attempts", "leaves", "rate", "merged"], "{stderr}");
    assert!(stderr.contains("fuel") && stderr.contains("memory up to"), "{stderr}");
}

#[test]
fn retries_are_counted() {
    let json =
        faulty(&json!({}), &["unavailable-1"]).args(["--format", "json", "--deadline", "20s"]).run().expect(4).json();
    let attempts = &json["coverage"]["attempts"];
    assert_eq!(attempts["started"], 3);
    assert_eq!(attempts["retries"], 2);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let partial = || faulty(&json!({}), &["ok-1", "trap-1"]).args(["--deadline", "100s"]);
    let escapes = |ended: crate::kit::Ended| ended.expect(3).err().contains('\x1b');
    assert!(!escapes(partial().run()), "no terminal, no colours");
    assert!(escapes(partial().env("CLICOLOR_FORCE", "1").run()), "forced");
    assert!(!escapes(partial().env("CLICOLOR_FORCE", "0").env("NO_COLOR", "1").run()), "refused");
}

#[test]
fn a_plain_locale_gets_plain_letters() {
    let ended = faulty(&json!({}), &["ok-1", "trap-1"])
        .env("LC_ALL", "C")
        .args(["--progress", "lines", "--stats"])
        .run()
        .expect(3);
    assert!(ended.err().is_ascii(), "{}", ended.err());
}

#[test]
fn a_narrow_terminal_gets_narrow_lines() {
    let ended =
        faulty(&json!({}), &["ok-1", "trap-1"]).env("COLUMNS", "40").args(["--progress", "none"]).run().expect(3);
    let widest = ended.err().lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(40), "{}", ended.err());
}

#[test]
fn version_and_help_are_answers() {
    assert!(frond(["--version"]).run().expect(0).out().starts_with("frond "));
    for verb in ["query", "build", "explain"] {
        let ended = frond([verb, "--help"]).run().expect(0);
        assert!(ended.out().contains("Usage: frond"), "{verb}");
        assert_eq!(ended.err(), "");
    }
}

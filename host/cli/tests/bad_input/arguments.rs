//! Arguments that make no sense, and places that cannot be written to.

use insta::assert_snapshot;

use crate::kit::{Folder, frond, outcome};

fn rail(args: &str) -> String {
    outcome(&frond(["query", "examples/rail", r#"{"from":"London","budget":8}"#]).args(args.split_whitespace()).run())
}

#[test]
fn no_verb() {
    assert_snapshot!(outcome(&frond([""; 0]).run()), @"");
}

#[test]
fn an_unknown_verb() {
    assert_snapshot!(outcome(&frond(["qurey", "examples/rail"]).run()), @"");
}

#[test]
fn an_unknown_option() {
    assert_snapshot!(rail("--deadlin 1s"), @"");
}

#[test]
fn a_floor_above_all() {
    assert_snapshot!(rail("--floor 1.5"), @"");
}

#[test]
fn a_floor_of_nothing() {
    assert_snapshot!(rail("--floor 0"), @"");
}

#[test]
fn a_floor_below_nothing() {
    assert_snapshot!(rail("--floor=-1"), @"");
}

#[test]
fn a_floor_that_is_no_number() {
    assert_snapshot!(rail("--floor NaN"), @"");
}

#[test]
fn a_deadline_without_a_unit() {
    assert_snapshot!(rail("--deadline 5"), @"");
}

#[test]
fn a_deadline_that_is_nonsense() {
    assert_snapshot!(rail("--deadline soon"), @"");
}

#[test]
fn a_deadline_of_no_time() {
    assert_snapshot!(rail("--deadline 0s"), @"");
}

#[test]
fn a_deadline_below_nothing() {
    assert_snapshot!(rail("--deadline=-1s"), @"");
}

#[test]
fn a_deadline_of_many_years() {
    assert_snapshot!(rail("--deadline 99999999999999999999h"), @"");
}

#[test]
fn no_slots() {
    assert_snapshot!(rail("--slots 0"), @"");
}

#[test]
fn pieces_of_nothing() {
    assert_snapshot!(outcome(&frond(["query", "examples/grep", r#"{"pattern":"a"}"#, "--piece-size", "0"]).run()), @"");
}

#[test]
fn pieces_of_what_is_not_cut() {
    assert_snapshot!(rail("--piece-size 1MiB"), @"");
}

#[test]
fn two_queries() {
    assert_snapshot!(rail("{}"), @"");
}

#[test]
fn a_recording_into_a_folder_that_is_not_there() {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 0\nend = 10");
    assert_snapshot!(outcome(&folder.frond("query app {} --record runs/one.ndjson").run()), @"");
}

#[test]
fn a_recording_onto_a_folder() {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 0\nend = 10");
    assert_snapshot!(outcome(&folder.frond("query app {} --record app").run()), @"");
}

#[test]
fn a_full_disk_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else {
        return crate::kit::skip("there is no /dev/full");
    };
    let ended = frond(["query", "examples/rail", r#"{"from":"London","budget":8}"#]).stdout(full).run();
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = frond(["query", "examples/rail", r#"{"from":"London","budget":60}"#]).stdout(writer).run();
    assert_snapshot!(outcome(&ended), @"");
}

//! Errors of `frond explain` on files that are no recording, or an incomplete one.

use std::fs;

use insta::assert_snapshot;

use crate::kit::{Folder, outcome};

/// Returns the outcome of `frond explain` on a file with this content.
fn explained(content: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    folder.write("run.ndjson", content);
    outcome(&folder.frond("explain run.ndjson").run())
}

/// Returns the recording of a small query.
fn recorded() -> String {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 0\nend = 10\nstep = 5");
    folder.frond("query app {} --record run.ndjson").run().expect(0);
    fs::read_to_string(folder.path("run.ndjson")).unwrap()
}

#[test]
fn a_file_that_is_missing() {
    assert_snapshot!(outcome(&Folder::new().frond("explain run.ndjson").run()), @"
    exit 64
    error: cannot read run.ndjson
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_folder() {
    assert_snapshot!(outcome(&Folder::new().frond("explain .").run()), @"
    exit 64
    error: cannot read .
      because: Is a directory (os error 21)
    ");
}

#[test]
fn an_empty_file() {
    assert_snapshot!(explained(""), @"
    exit 64
    error: run.ndjson is not a recording: it is empty
    (make one with `frond query --record FILE`)
    ");
}

#[test]
fn a_file_that_is_something_else() {
    assert_snapshot!(explained("# Notes\n\nNothing in here.\n"), @"
    exit 64
    error: run.ndjson is not a recording: its first line is not an event in JSON
    (make one with `frond query --record FILE`)
    ");
}

#[test]
fn bytes_that_are_not_text() {
    assert_snapshot!(explained([0xff_u8; 100]), @"
    exit 64
    error: run.ndjson is not a recording: its first line is not an event in JSON
    (make one with `frond query --record FILE`)
    ");
}

#[test]
fn a_newer_version() {
    let newer = recorded().replace(r#""version":1"#, r#""version":2"#);
    assert_snapshot!(explained(newer), @"
    exit 64
    error: run.ndjson has format version 2, and this frond reads versions up to 1
    (use the frond that recorded it, or a later one)
    ");
}

#[test]
fn garbage_in_the_middle() {
    let recording = recorded();
    let lines: Vec<_> = recording.lines().collect();
    let broken = format!("{}\n{}\n{{\"at\":}}\n{}\n", lines[0], lines[1], lines[2]);
    assert_snapshot!(explained(broken), @"
    exit 64
    error: run.ndjson:3: expected value, at column 7
    ");
}

#[test]
fn a_recording_that_ends_within_a_line_is_explained_as_far_as_it_goes() {
    let recording = recorded();
    let folder = Folder::new();
    folder.write("run.ndjson", &recording[..recording.len() - 40]);
    let ended = folder.frond("explain run.ndjson").run().expect(0);
    assert!(ended.out().contains("app"), "{}", ended.out());
    assert_snapshot!(outcome(&ended), @"exit 0");
}

#[test]
fn a_recording_without_its_end_is_explained_as_far_as_it_goes() {
    let recording = recorded();
    let planned: Vec<_> = recording.lines().take(3).collect();
    let folder = Folder::new();
    folder.write("run.ndjson", planned.join("\n") + "\n");
    let ended = folder.frond("explain run.ndjson").run().expect(0);
    assert!(ended.out().contains("app"), "{}", ended.out());
    assert_snapshot!(outcome(&ended), @"exit 0");
}

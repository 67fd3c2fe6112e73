//! Queries that cannot be read, or that nobody understands.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use insta::assert_snapshot;

use crate::kit::{Folder, frond, outcome};

/// Latin-1.
const NOT_UTF8: &[u8] = b"{\"from\":\"K\xf6ln\"}";

#[test]
fn a_plugin_refuses_bytes_that_are_not_utf8() {
    let ended = frond(["query", "examples/rail"]).arg(OsStr::from_bytes(NOT_UTF8)).run();
    assert_eq!(ended.out(), "");
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn a_source_refuses_bytes_that_are_not_utf8() {
    let ended = frond(["query", "examples/faulty"]).arg(OsStr::from_bytes(NOT_UTF8)).run();
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn a_source_refuses_what_is_not_its_shape() {
    let ended = frond(["query", "examples/faulty", r#"{"query":{},"partition":[]}"#]).run();
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn a_source_refuses_nothing() {
    assert_snapshot!(outcome(&frond(["query", "examples/faulty"]).run()), @"");
}

#[test]
fn a_plugin_refuses_nothing() {
    assert_snapshot!(outcome(&frond(["query", "examples/rail"]).run()), @"");
}

#[test]
fn a_file_that_is_missing() {
    assert_snapshot!(outcome(&Folder::with_app("pi", RANGE).frond("query app @query.json").run()), @"");
}

#[test]
fn a_file_without_a_name() {
    assert_snapshot!(outcome(&Folder::with_app("pi", RANGE).frond("query app @").run()), @"");
}

#[test]
fn a_file_that_is_a_folder() {
    assert_snapshot!(outcome(&Folder::with_app("pi", RANGE).frond("query app @app").run()), @"");
}

#[test]
fn a_query_of_65_mib() {
    let folder = Folder::with_app("pi", RANGE);
    let file = std::fs::File::create(folder.path("query.json")).unwrap();
    file.set_len(65 << 20).unwrap();
    assert_snapshot!(outcome(&folder.frond("query app @query.json").run()), @"");
}

#[test]
fn stdin_wanted_twice() {
    let ended = frond(["query", "examples/wordcount", "-", "--input", "-"]).input("{}").run();
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn stdin_wanted_by_the_query_and_by_the_app() {
    let folder = Folder::with_app("wordcount", "[source]\nkind = \"stdin\"");
    assert_snapshot!(outcome(&folder.frond("query app -").input("{}").run()), @"");
}

const RANGE: &str = "[source]\nkind = \"range\"\nstart = 0\nend = 10";

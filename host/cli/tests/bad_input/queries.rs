//! Errors of queries that cannot be read or are invalid.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use insta::assert_snapshot;

use crate::kit::{Folder, frond, outcome};

/// A query in Latin-1.
const NOT_UTF8: &[u8] = b"{\"from\":\"K\xf6ln\"}";

#[test]
fn a_plugin_refuses_bytes_that_are_not_utf8() {
    let ended = frond(["query", "examples/rail", "--slots", "1"]).arg(OsStr::from_bytes(NOT_UTF8)).run();
    assert_eq!(ended.out(), "");
    assert_snapshot!(outcome(&ended), @"
    exit 65
    failed   invalid-query: invalid unicode code point at line 1 column 11
             0 of 5 partitions, 0 % by weight, in [time] of [time]   (floor 55 %)
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    ");
}

#[test]
fn a_source_refuses_bytes_that_are_not_utf8() {
    let ended = frond(["query", "examples/faulty"]).arg(OsStr::from_bytes(NOT_UTF8)).run();
    assert_snapshot!(outcome(&ended), @r#"
    exit 65
    error: the query is not UTF-8 at byte 10
    (this app takes {"query": any JSON, "partitions": [{"key": "a", "data": a string or any JSON, "weight": 1}]}; `weight` may be left out)
    "#);
}

#[test]
fn a_source_refuses_what_is_not_its_shape() {
    let ended = frond(["query", "examples/faulty", r#"{"query":{},"partition":[]}"#]).run();
    assert_snapshot!(outcome(&ended), @r#"
    exit 65
    error: the query does not fit: unknown field `partition`, expected `query` or `partitions` at line 1 column 23
    (this app takes {"query": any JSON, "partitions": [{"key": "a", "data": a string or any JSON, "weight": 1}]}; `weight` may be left out)
    "#);
}

#[test]
fn a_source_refuses_nothing() {
    assert_snapshot!(outcome(&frond(["query", "examples/faulty"]).run()), @r#"
    exit 65
    error: the query does not fit: EOF while parsing a value at line 1 column 0
    (this app takes {"query": any JSON, "partitions": [{"key": "a", "data": a string or any JSON, "weight": 1}]}; `weight` may be left out)
    "#);
}

#[test]
fn a_plugin_refuses_nothing() {
    assert_snapshot!(outcome(&frond(["query", "examples/rail", "--slots", "1"]).run()), @"
    exit 65
    failed   invalid-query: missing field `from` at line 1 column 2
             0 of 5 partitions, 0 % by weight, in [time] of [time]   (floor 55 %)
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    ");
}

#[test]
fn a_file_that_is_missing() {
    assert_snapshot!(outcome(&Folder::with_app("pi", RANGE).frond("query app @query.json").run()), @"
    exit 64
    error: cannot read the query from `query.json`
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_file_without_a_name() {
    assert_snapshot!(outcome(&Folder::with_app("pi", RANGE).frond("query app @").run()), @"
    exit 64
    error: `@` is not followed by the name of a file
    (such as @query.json)
    ");
}

#[test]
fn a_file_that_is_a_folder() {
    assert_snapshot!(outcome(&Folder::with_app("pi", RANGE).frond("query app @app").run()), @"
    exit 64
    error: cannot read the query from `app`
      because: Is a directory (os error 21)
    ");
}

#[test]
fn a_query_of_65_mib() {
    let folder = Folder::with_app("pi", RANGE);
    let file = std::fs::File::create(folder.path("query.json")).unwrap();
    file.set_len(65 << 20).unwrap();
    assert_snapshot!(outcome(&folder.frond("query app @query.json").run()), @"
    exit 64
    error: the query in `query.json` is larger than 64 MiB
    (pass the content through the app's source: --input)
    ");
}

#[test]
fn stdin_wanted_twice() {
    let ended = frond(["query", "examples/wordcount", "-", "--input", "-"]).input("{}").run();
    assert_snapshot!(outcome(&ended), @"
    exit 64
    error: both the query and the partitions would be read from stdin
    (give the query as an argument or as @FILE)
    ");
}

#[test]
fn stdin_wanted_by_the_query_and_by_the_app() {
    let folder = Folder::with_app("wordcount", "[source]\nkind = \"stdin\"");
    assert_snapshot!(outcome(&folder.frond("query app -").input("{}").run()), @"
    exit 64
    error: both the query and the partitions would be read from stdin
    (give the query as an argument or as @FILE)
    ");
}

const RANGE: &str = "[source]\nkind = \"range\"\nstart = 0\nend = 10";

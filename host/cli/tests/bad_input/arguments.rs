//! Errors of invalid arguments, and of paths that cannot be written.

use insta::assert_snapshot;

use crate::kit::{Folder, frond, outcome};

fn rail(args: &str) -> String {
    outcome(&frond(["query", "examples/rail", r#"{"from":"London","budget":8}"#]).args(args.split_whitespace()).run())
}

#[test]
fn no_verb() {
    assert_snapshot!(outcome(&frond([""; 0]).run()), @r#"
    exit 64
    Scatter-gather over WebAssembly leaves: cuts a query's work into partitions, runs a sandboxed leaf on each, gathers until the deadline, merges, and answers with
    an exact account of what is missing

    Usage: frond <COMMAND>

    Commands:
      query     Runs a query on an app, and prints the answer
      serve     Serves every app of a folder over HTTP, with a web page about them
      jobs      Runs queries as jobs, which outlive their request: submits, watches and cancels jobs, and gets their answers
      worker    Runs leaves for queries on any hosts that use the same broker
      workers   Lists and drains the workers of a server
      token     Makes a token for a server, and the lines for the server's settings
      new       Makes a folder with an app or a plugin in one of four languages, which builds and passes its cases as it is
      build     Runs an app's build commands, and checks the components they make
      test      Tests a plugin or an app under exactly the limits of production: its cases, and the laws of its leaf and merge
      bench     Measures a plugin's cases: fuel, time, memory, throughput
      replay    Repeats a call that failed in production, from a capture of --capture-failures
      explain   Explains a recorded query: waterfall, critical path, stragglers, quantiles
      plan      Plans an app's queries: how many leaves they should have, how long they take, what they cost, and how often they are answered
      simulate  Simulates queries in virtual time: of a world in a file, or of a recorded query
      inspect   Describes a component: the roles it fits, what it imports and needs, and how it differs from the contract
      doctor    Checks what this machine lacks to build plugins in each language, and to run plugins fast
      run-test  Runs the test binary of a guest's crate in the sandbox: a runner for `cargo test` and nextest
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Example:
      frond query examples/rail '{"from":"London","budget":60}'
    "#);
}

#[test]
fn an_unknown_verb() {
    assert_snapshot!(outcome(&frond(["qurey", "examples/rail"]).run()), @"
    exit 64
    error: unrecognized subcommand 'qurey'

      tip: some similar subcommands exist: 'replay', 'query'

    Usage: frond <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_option() {
    assert_snapshot!(rail("--deadlin 1s"), @"
    exit 64
    error: unexpected argument '--deadlin' found

      tip: a similar argument exists: '--deadline'

    Usage: frond query --deadline <TIME> <APP> <QUERY | @FILE | ->

    For more information, try '--help'.
    ");
}

#[test]
fn a_floor_above_all() {
    assert_snapshot!(rail("--floor 1.5"), @"
    exit 64
    error: invalid value '1.5' for '--floor <FLOOR>': write `all`, `best-effort`, or a share above 0 and at most 1, such as 0.8 or 80%

    For more information, try '--help'.
    ");
}

#[test]
fn a_floor_of_nothing() {
    assert_snapshot!(rail("--floor 0"), @"
    exit 64
    error: invalid value '0' for '--floor <FLOOR>': write `all`, `best-effort`, or a share above 0 and at most 1, such as 0.8 or 80%

    For more information, try '--help'.
    ");
}

#[test]
fn a_floor_below_nothing() {
    assert_snapshot!(rail("--floor -1"), @"
    exit 64
    error: invalid value '-1' for '--floor <FLOOR>': write `all`, `best-effort`, or a share above 0 and at most 1, such as 0.8 or 80%

    For more information, try '--help'.
    ");
}

#[test]
fn a_floor_that_is_no_number() {
    assert_snapshot!(rail("--floor NaN"), @"
    exit 64
    error: invalid value 'NaN' for '--floor <FLOOR>': write `all`, `best-effort`, or a share above 0 and at most 1, such as 0.8 or 80%

    For more information, try '--help'.
    ");
}

#[test]
fn a_deadline_without_a_unit() {
    assert_snapshot!(rail("--deadline 5"), @"
    exit 64
    error: invalid value '5' for '--deadline <TIME>': `5` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)

    For more information, try '--help'.
    ");
}

#[test]
fn a_deadline_that_is_nonsense() {
    assert_snapshot!(rail("--deadline soon"), @"
    exit 64
    error: invalid value 'soon' for '--deadline <TIME>': `soon` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)

    For more information, try '--help'.
    ");
}

#[test]
fn a_deadline_of_no_time() {
    assert_snapshot!(rail("--deadline 0s"), @"
    exit 64
    error: invalid value '0s' for '--deadline <TIME>': a deadline must be above 0

    For more information, try '--help'.
    ");
}

#[test]
fn a_deadline_below_nothing() {
    assert_snapshot!(rail("--deadline=-1s"), @"
    exit 64
    error: invalid value '-1s' for '--deadline <TIME>': `-1s` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)

    For more information, try '--help'.
    ");
}

#[test]
fn a_deadline_of_many_years() {
    assert_snapshot!(rail("--deadline 99999999999999999999h"), @"
    exit 64
    error: invalid value '99999999999999999999h' for '--deadline <TIME>': `99999999999999999999h` is more than a year

    For more information, try '--help'.
    ");
}

#[test]
fn no_slots() {
    assert_snapshot!(rail("--slots 0"), @"
    exit 64
    error: invalid value '0' for '--slots <N>': 0 is not in 1..=1024

    For more information, try '--help'.
    ");
}

#[test]
fn pieces_of_nothing() {
    assert_snapshot!(outcome(&frond(["query", "examples/grep", r#"{"pattern":"a"}"#, "--piece-size", "0"]).run()), @r#"
    exit 64
    error: pieces of 0 bytes never reach the end
    (write a size above 0, or "auto")
    "#);
}

#[test]
fn pieces_of_what_is_not_cut() {
    assert_snapshot!(rail("--piece-size 1MiB"), @r#"
    exit 64
    error: a source of the kind "list" is not cut into pieces of a size
    (leave the piece size out)
    "#);
}

#[test]
fn two_queries() {
    assert_snapshot!(rail("{}"), @"
    exit 64
    error: unexpected argument '{}' found

    Usage: frond query [OPTIONS] <APP> [QUERY | @FILE | -]

    For more information, try '--help'.
    ");
}

#[test]
fn a_recording_into_a_folder_that_is_not_there() {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 0\nend = 10");
    assert_snapshot!(outcome(&folder.frond("query app {} --record runs/one.ndjson").run()), @"
    exit 64
    error: cannot record to `runs/one.ndjson`
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_recording_onto_a_folder() {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 0\nend = 10");
    assert_snapshot!(outcome(&folder.frond("query app {} --record app").run()), @"
    exit 64
    error: cannot record to `app`
      because: Is a directory (os error 21)
    ");
}

#[test]
fn a_full_disk_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else {
        return crate::kit::skip("there is no /dev/full");
    };
    let ended = frond(["query", "examples/rail", r#"{"from":"London","budget":8}"#]).stdout(full).run();
    assert_snapshot!(outcome(&ended), @"
    exit 70
    error: the answer could not be written
      because: No space left on device (os error 28)
    ");
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = frond(["query", "examples/rail", r#"{"from":"London","budget":60}"#]).stdout(writer).run();
    assert_snapshot!(outcome(&ended), @"exit 0");
}

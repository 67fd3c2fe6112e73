//! Errors of parsing `frond.toml`: the place, the found value, the expected value.

use crate::testing::{COMPONENTS, Folder, refused};

/// Error of a `frond.toml` that consists of `text`.
fn whole(text: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    folder.write("frond.toml", text);
    folder.load().map_or_else(|error| folder.show(&error), |_| "accepted".to_owned())
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    insta::assert_snapshot!(whole("name = \"a\"\n\n[leaf\n"), @"APP/frond.toml:3: unclosed table, expected `]`");
    insta::assert_snapshot!(whole("name = \"a\n"), @r#"APP/frond.toml:1: invalid basic string, expected `"`"#);
    insta::assert_snapshot!(whole("name = \n"), @"APP/frond.toml:1: string values must be quoted, expected literal string");
    insta::assert_snapshot!(whole("name = \"a\"\nname = \"b\"\n"), @"APP/frond.toml:2: duplicate key");
    insta::assert_snapshot!(whole(b"name = \"a\"\n# \xff\n"), @"APP/frond.toml:2: not UTF-8, which TOML has to be");
}

#[test]
fn a_byte_order_mark_is_no_key() {
    assert_eq!(whole(format!("\u{feff}name = \"a\"\r\n{COMPONENTS}[source]\nkind = \"query\"\n")), "accepted");
}

#[test]
fn a_missing_section_or_key_is_named() {
    insta::assert_snapshot!(whole(""), @r"
    APP/frond.toml:1: there is no [leaf] section
    (an app has at least the sections [leaf], [merge] and [source])
    ");
    insta::assert_snapshot!(whole("[leaf]\ncomponent = \"a\"\n"), @r"
    APP/frond.toml:1: there is no [merge] section
    (an app has at least the sections [leaf], [merge] and [source])
    ");
    insta::assert_snapshot!(refused(""), @r"
    APP/frond.toml:1: there is no [source] section
    (an app has at least the sections [leaf], [merge] and [source])
    ");
    insta::assert_snapshot!(whole("# nothing\n\n[leaf]\n[merge]\n"), @"APP/frond.toml:3: leaf: the key `component` is missing");
    insta::assert_snapshot!(refused("[source]\n"), @"APP/frond.toml:5: source: the key `kind` is missing");
    insta::assert_snapshot!(refused("[source]\nkind = \"list\"\npartitions = [\n  { data = \"\" },\n]\n"), @"APP/frond.toml:8: source.partitions[0]: the key `key` is missing");
}

#[test]
fn an_unknown_key_is_met_with_the_closest_known_one() {
    insta::assert_snapshot!(whole(format!("nmae = \"a\"\n{COMPONENTS}")), @r"
    APP/frond.toml:1: nmae: unknown key
    (did you mean `name`? known here: `name`, `content-type`, `leaf`, `merge`, `split`, `source`, `query`, `limits`, `grants`, `retry`)
    ");
    insta::assert_snapshot!(whole(format!("content_type = \"a/b\"\n{COMPONENTS}")), @r"
    APP/frond.toml:1: content_type: unknown key
    (did you mean `content-type`? known here: `name`, `content-type`, `leaf`, `merge`, `split`, `source`, `query`, `limits`, `grants`, `retry`)
    ");
    insta::assert_snapshot!(whole("[leaf]\ncompnent = \"a\"\n"), @r"
    APP/frond.toml:2: leaf.compnent: unknown key
    (did you mean `component`? known here: `component`, `sha256`, `build`, `instance`, `isolation`)
    ");
    insta::assert_snapshot!(refused("zebra = 1\n"), @r"
    APP/frond.toml:5: merge.zebra: unknown key
    (known here: `component`, `sha256`, `build`, `order`)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglobs = \"*\"\n"), @r"
    APP/frond.toml:7: source.globs: unknown key
    (did you mean `glob`? known here: `kind`, `glob`, `piece-size`, `cut`, `partitions`, `start`, `end`, `step`)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[query]\ndedline = \"2s\"\n"), @r"
    APP/frond.toml:8: query.dedline: unknown key
    (did you mean `deadline`? known here: `deadline`, `max-deadline`, `floor`, `require`)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits.merge]\ntime = \"2s\"\n"), @r"
    APP/frond.toml:8: limits.merge.time: unknown key
    (known here: `fuel`, `memory`, `table-elements`, `output`, `log`, `host-calls`, `partials`)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits]\nleaf.memroy = 1\n"), @r"
    APP/frond.toml:8: limits.leaf.memroy: unknown key
    (did you mean `memory`? known here: `fuel`, `memory`, `table-elements`, `output`, `log`, `host-calls`, `time`, `partition`)
    ");
    insta::assert_snapshot!(
        refused("[source]\nkind = \"list\"\npartitions = [\n  { key = \"a\", data = \"\" },\n  { key = \"b\", dta = \"\" },\n]\n"),
        @r"
    APP/frond.toml:9: source.partitions[1].dta: unknown key
    (did you mean `data`? known here: `key`, `data`, `file`, `weight`)
    "
    );
}

#[test]
fn a_wrong_type_is_met_with_what_is_expected() {
    insta::assert_snapshot!(whole(format!("name = 3\n{COMPONENTS}")), @"APP/frond.toml:1: name: expected a string, found integer `3`");
    insta::assert_snapshot!(whole("leaf = \"a.wasm\"\n"), @r#"APP/frond.toml:1: leaf: expected a table, found string "a.wasm""#);
    insta::assert_snapshot!(refused("[source]\nkind = 1\n"), @"APP/frond.toml:6: source.kind: expected a string");
    insta::assert_snapshot!(refused("[source]\nkind = \"file\"\n"), @r"
    APP/frond.toml:6: source.kind: `file` is not a value of this key
    (did you mean `files`? known here: `list`, `files`, `stdin`, `range`, `query`, `split`)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = 3\n"), @r#"APP/frond.toml:7: source.glob: expected a glob such as "data/**/*.txt", or a list of them, found integer `3`"#);
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = [\"a\", 3]\n"), @"APP/frond.toml:7: source.glob[1]: expected a string, found integer `3`");
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = \"a\"\ncut = \"words\"\n"), @r"
    APP/frond.toml:8: source.cut: `words` is not a value of this key
    (known here: `lines`, `bytes`, `none`)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 0.5\nend = 2\n"), @"APP/frond.toml:7: source.start: expected a whole number, found floating point `0.5`");
    insta::assert_snapshot!(refused("[source]\nkind = \"list\"\npartitions = \"a\"\n"), @r#"APP/frond.toml:7: source.partitions: expected a list, found string "a""#);
    insta::assert_snapshot!(
        refused("[source]\nkind = \"list\"\npartitions = [{ key = \"a\", data = \"\", weight = -1 }]\n"),
        @"APP/frond.toml:7: source.partitions[0].weight: expected a whole number, 0 or more, found integer `-1`"
    );
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[query]\nrequire = \"a\"\n"), @r#"APP/frond.toml:8: query.require: expected a list, found string "a""#);
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits]\ndeterministic = \"yes\"\n"), @r#"APP/frond.toml:8: limits.deterministic: expected true or false, found string "yes""#);
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits.leaf]\nfuel = -1\n"), @"APP/frond.toml:8: limits.leaf.fuel: expected a whole number, 0 or more, found integer `-1`");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits.leaf]\nmemory = true\n"), @r#"APP/frond.toml:8: limits.leaf.memory: expected a size such as "64MiB", or a number of bytes, found boolean `true`"#);
    insta::assert_snapshot!(whole(format!("grants = true\n{COMPONENTS}")), @"APP/frond.toml:1: grants: expected a table, found boolean `true`");
}

#[test]
fn sizes_durations_floors_and_steps_say_what_they_take() {
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = \"a\"\npiece-size = \"big\"\n"), @r"
    APP/frond.toml:8: source.piece-size: `big` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = \"a\"\npiece-size = -5\n"), @r"
    APP/frond.toml:8: source.piece-size: `-5` is not a size
    (a size is 0 bytes or more)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits.leaf]\nmemory = \"64M\"\n"), @r"
    APP/frond.toml:8: limits.leaf.memory: `M` in `64M` is not a unit of size
    (the units are B, KB, MB, GB, TB and KiB, MiB, GiB, TiB)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[limits.leaf]\noutput = [1]\n"), @r#"APP/frond.toml:8: limits.leaf.output: expected a size such as "64MiB", or a number of bytes, found a list"#);
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[query]\ndeadline = 10\n"), @r#"APP/frond.toml:8: query.deadline: expected a duration such as "500ms", "2s" or "1m30s", found integer `10`"#);
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[query]\ndeadline = \"10\"\n"), @r"
    APP/frond.toml:8: query.deadline: `10` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[query]\nfloor = \"some\"\n"), @r#"
    APP/frond.toml:8: query.floor: `some` is not a floor
    (write "all", "best-effort", or a fraction above 0 and at most 1)
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"query\"\n[query]\nfloor = [0.5]\n"), @r#"APP/frond.toml:8: query.floor: expected "all", "best-effort", or a fraction above 0 and at most 1, found a list"#);
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 0\nend = 2\nstep = \"large\"\n"), @r#"
    APP/frond.toml:9: source.step: `large` is not a step
    (write "auto", or a whole number above 0)
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 0\nend = 2\nstep = 1.5\n"), @r#"APP/frond.toml:9: source.step: expected "auto", or a whole number above 0, found floating point `1.5`"#);
}

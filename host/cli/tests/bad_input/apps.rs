//! Errors of a missing or invalid `frond.toml`.

use insta::assert_snapshot;

use crate::kit::{Folder, outcome};

/// Returns the outcome of a query to an app with this `frond.toml`.
fn asked(toml: &str) -> String {
    let folder = Folder::new();
    folder.write("app/frond.toml", toml);
    outcome(&folder.frond("query app {}").run())
}

#[test]
fn nothing_where_the_app_should_be() {
    assert_snapshot!(outcome(&Folder::new().frond("query app {}").run()), @"
    exit 64
    error: no app at `app`: there is no such file or folder
    (give the folder that holds the app's frond.toml)
    ");
}

#[test]
fn a_folder_without_a_frond_toml() {
    let folder = Folder::new();
    folder.write("app/README.md", "");
    assert_snapshot!(outcome(&folder.frond("query app {}").run()), @"
    exit 64
    error: no app at `app`: the folder has no frond.toml
    (give the folder that holds the app's frond.toml)
    ");
}

#[test]
fn an_empty_frond_toml() {
    assert_snapshot!(asked(""), @"
    exit 64
    error: app/frond.toml:1: there is no [leaf] section
    (an app has at least the sections [leaf], [merge] and [source])
    ");
}

#[test]
fn an_unknown_key() {
    let toml = "[leaf]\ncomponent = \"a.wasm\"\n[merge]\ncomponent = \"a.wasm\"\n[source]\nkind = \"query\"\n[query]\ndeadlin = \"1s\"\n";
    assert_snapshot!(asked(toml), @"
    exit 64
    error: app/frond.toml:8: query.deadlin: unknown key
    (did you mean `deadline`? known here: `deadline`, `max-deadline`, `floor`, `require`)
    ");
}

#[test]
fn an_unknown_section() {
    assert_snapshot!(asked("[leaf]\ncomponent = \"a.wasm\"\n[merg]\ncomponent = \"a.wasm\"\n"), @"
    exit 64
    error: app/frond.toml:3: merg: unknown key
    (did you mean `merge`? known here: `name`, `content-type`, `leaf`, `merge`, `split`, `source`, `query`, `limits`, `grants`, `retry`)
    ");
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_snapshot!(asked("[leaf]\ncomponent = [\"a.wasm\"]\n"), @"
    exit 64
    error: app/frond.toml:2: leaf.component: expected a string, found a list
    ");
}

#[test]
fn text_that_is_not_toml() {
    assert_snapshot!(asked("[leaf\ncomponent = \"a.wasm\"\n"), @"
    exit 64
    error: app/frond.toml:1: unclosed table, expected `]`
    ");
}

#[test]
fn grants_that_cannot_be_given() {
    let toml = "[leaf]\ncomponent = \"a.wasm\"\n[merge]\ncomponent = \"a.wasm\"\n[source]\nkind = \"query\"\n[grants]\nfiles = [\"data\"]\n";
    assert_snapshot!(asked(toml), @"
    exit 64
    error: app/frond.toml:8: grants.files: unknown key
    (known here: `directories`, `env`, `config`, `http`)
    ");
}

#[test]
fn a_component_that_is_not_built() {
    let build = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"make leaf.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    assert_snapshot!(asked(build), @"
    exit 64
    error: app/frond.toml:2: leaf.component: there is no file `app/leaf.wasm`
    (run `frond build app`)
    ");
}

#[test]
fn a_component_that_nothing_builds() {
    let toml = "[leaf]\ncomponent = \"leaf.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    assert_snapshot!(asked(toml), @"
    exit 64
    error: app/frond.toml:2: leaf.component: there is no file `app/leaf.wasm`
    (correct the path, which is relative to frond.toml, or give the key `build` a command that makes the file)
    ");
}

#[test]
fn a_build_that_fails() {
    let folder = Folder::new();
    let build = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"echo no such compiler; exit 7\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", build);
    let ended = folder.frond("build app").run();
    assert_eq!(ended.out(), "");
    assert_snapshot!(outcome(&ended), @"
    exit 64
    no such compiler
    error: app/frond.toml:3: leaf.build: the command failed with exit status: 7: echo no such compiler; exit 7
    (its own output is above)
    ");
}

#[test]
fn a_build_that_makes_something_else() {
    let folder = Folder::new();
    let build = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"touch other.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", build);
    assert_snapshot!(outcome(&folder.frond("build app").run()), @"
    exit 64
    error: app/frond.toml:3: leaf.build: the command succeeded, but there is no file `app/leaf.wasm`
    (make `build` and `component` name the same file)
    ");
}

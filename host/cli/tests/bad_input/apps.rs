//! A `frond.toml` that is not there, or is wrong.

use insta::assert_snapshot;

use crate::kit::{Folder, outcome};

/// What becomes of a query to an app with this `frond.toml`.
fn asked(toml: &str) -> String {
    let folder = Folder::new();
    folder.write("app/frond.toml", toml);
    outcome(&folder.frond("query app {}").run())
}

#[test]
fn nothing_where_the_app_should_be() {
    assert_snapshot!(outcome(&Folder::new().frond("query app {}").run()), @"");
}

#[test]
fn a_folder_without_a_frond_toml() {
    let folder = Folder::new();
    folder.write("app/README.md", "");
    assert_snapshot!(outcome(&folder.frond("query app {}").run()), @"");
}

#[test]
fn an_empty_frond_toml() {
    assert_snapshot!(asked(""), @"");
}

#[test]
fn an_unknown_key() {
    let toml = "[leaf]\ncomponent = \"a.wasm\"\n[merge]\ncomponent = \"a.wasm\"\n[source]\nkind = \"query\"\n[query]\ndeadlin = \"1s\"\n";
    assert_snapshot!(asked(toml), @"");
}

#[test]
fn an_unknown_section() {
    assert_snapshot!(asked("[leaf]\ncomponent = \"a.wasm\"\n[merg]\ncomponent = \"a.wasm\"\n"), @"");
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_snapshot!(asked("[leaf]\ncomponent = [\"a.wasm\"]\n"), @"");
}

#[test]
fn text_that_is_not_toml() {
    assert_snapshot!(asked("[leaf\ncomponent = \"a.wasm\"\n"), @"");
}

#[test]
fn grants_that_cannot_be_given() {
    let toml = "[leaf]\ncomponent = \"a.wasm\"\n[merge]\ncomponent = \"a.wasm\"\n[source]\nkind = \"query\"\n[grants]\nfiles = [\"data\"]\n";
    assert_snapshot!(asked(toml), @"");
}

#[test]
fn a_component_that_is_not_built() {
    let build = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"make leaf.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    assert_snapshot!(asked(build), @"");
}

#[test]
fn a_component_that_nothing_builds() {
    let toml = "[leaf]\ncomponent = \"leaf.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    assert_snapshot!(asked(toml), @"");
}

#[test]
fn a_build_that_fails() {
    let folder = Folder::new();
    let build = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"echo no such compiler; exit 7\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", build);
    let ended = folder.frond("build app").run();
    assert_eq!(ended.out(), "");
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn a_build_that_makes_something_else() {
    let folder = Folder::new();
    let build = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"touch other.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", build);
    assert_snapshot!(outcome(&folder.frond("build app").run()), @"");
}

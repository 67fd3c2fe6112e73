//! Build commands: run on request only, with their output apart from the answer.

use crate::kit::{Folder, plugin};

/// Returns an app that builds its component by copying it.
fn app() -> Folder {
    let folder = Folder::new();
    std::os::unix::fs::symlink(plugin("wordcount"), folder.path("built.wasm")).unwrap();
    let toml = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"echo building; cat; cp ../built.wasm leaf.wasm\"\n\n\
                [merge]\ncomponent = \"leaf.wasm\"\n\n[source]\nkind = \"stdin\"\n";
    folder.write("app/frond.toml", toml);
    folder
}

#[test]
fn a_query_builds_first_when_told_to() {
    let folder = app();
    folder.frond("query app {}").input("a").run().expect(64);
    let ended = folder.frond("query app {} --build").input("one one").run().expect(0);
    assert_eq!(ended.out(), r#"{"words":[{"word":"one","count":2}],"total":2,"distinct":1}"#);
    assert!(ended.err().starts_with("building\n"), "{}", ended.err());
}

#[test]
fn build_builds_and_checks() {
    let folder = app();
    let ended = folder.frond("build app").run().expect(0);
    assert_eq!(ended.out(), "");
    assert!(ended.err().starts_with("building\n"), "{}", ended.err());
    assert!(ended.err().ends_with("app: the components fit\n"), "{}", ended.err());
    folder.frond("query app {}").input("one").run().expect(0);
}

#[test]
fn build_says_when_what_it_made_does_not_fit() {
    let folder = app();
    folder.write("built.txt", "no component");
    let toml = "[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"cp ../built.txt leaf.wasm\"\n\n\
                [merge]\ncomponent = \"leaf.wasm\"\n\n[source]\nkind = \"stdin\"\n";
    folder.write("app/frond.toml", toml);
    let ended = folder.frond("build app").run().expect(64);
    assert!(ended.err().contains("is not WebAssembly"), "{}", ended.err());
}

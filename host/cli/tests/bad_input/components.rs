//! Errors of files that are no component, or do not fit.

use std::fs::{self, File};

use insta::assert_snapshot;

use crate::kit::{Folder, outcome, plugin};

const QUERY: &str = r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#;

/// Returns an app with a valid merge, whose leaf `app/leaf.wasm` does not exist yet.
fn app() -> Folder {
    let folder = Folder::new();
    folder.link_plugin("faulty");
    let toml = "[leaf]\ncomponent = \"leaf.wasm\"\n[merge]\ncomponent = \"faulty.wasm\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", toml);
    folder
}

fn asked(folder: &Folder) -> String {
    outcome(&folder.frond("query app").arg(QUERY).run())
}

/// Returns the outcome of a query to an app with these bytes as its leaf.
fn with_leaf(bytes: impl AsRef<[u8]>) -> String {
    let folder = app();
    folder.write("app/leaf.wasm", bytes);
    asked(&folder)
}

fn with_component(text: &str) -> String {
    with_leaf(wat::parse_str(text).expect("the text is a component"))
}

#[test]
fn text() {
    assert_snapshot!(with_leaf("fn main() {}"), @r#"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: is not WebAssembly: it begins with "fn main("
    (a leaf is a component, such as cargo builds for wasm32-wasip2)
    "#);
}

#[test]
fn terminal_escapes() {
    assert_snapshot!(with_leaf("\x1b[2J\x1b]0;t\x07"), @r#"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: is not WebAssembly: it begins with "\u{1b}[2J\u{1b}]0;"
    (a leaf is a component, such as cargo builds for wasm32-wasip2)
    "#);
}

#[test]
fn an_empty_file() {
    assert_snapshot!(with_leaf(""), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: is empty
    (build it again)
    ");
}

#[test]
fn a_core_module() {
    assert_snapshot!(with_component("(module)"), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: is a core module, not a component
    (build it for wasm32-wasip2, or wrap it with `wasm-tools component new`)
    ");
}

#[test]
fn a_component_without_exports() {
    assert_snapshot!(with_component("(component)"), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: does not export frond:plugin/process-partition@0.1.1, it exports no interface
    (in Rust, `frond_plugin::leaf!`, `merger!` and `splitter!` export these interfaces)
    ");
}

#[test]
fn a_merge_as_the_leaf() {
    assert_snapshot!(with_leaf(fs::read(plugin("rail_merge")).unwrap()), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: does not export frond:plugin/process-partition@0.1.1, it exports frond:plugin/merge-partials@0.1.1
    (it is a merge component: name it under [merge], and a leaf component here)
    ");
}

#[test]
fn a_component_that_two_sections_name_is_refused_at_the_one_that_it_does_not_fit() {
    let folder = Folder::new();
    folder.link_plugin("rail_leaf");
    let toml =
        "[leaf]\ncomponent = \"rail_leaf.wasm\"\n[merge]\ncomponent = \"rail_leaf.wasm\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", toml);
    assert_snapshot!(asked(&folder), @"
    exit 64
    error: app/frond.toml:4: merge.component: `app/rail_leaf.wasm`: does not export frond:plugin/merge-partials@0.1.1, it exports frond:plugin/process-partition@0.1.1
    (it is a leaf component: name it under [leaf], and a merge component here)
    ");
}

#[test]
fn a_pin_holds_for_the_section_that_has_it() {
    let folder = Folder::new();
    folder.link_plugin("faulty");
    let pin = "0".repeat(64);
    let toml = format!(
        "[leaf]\ncomponent = \"faulty.wasm\"\n[merge]\ncomponent = \"faulty.wasm\"\nsha256 = \"{pin}\"\n[source]\nkind = \"query\"\n"
    );
    folder.write("app/frond.toml", toml);
    let text = asked(&folder);
    assert!(
        text.starts_with(
            "exit 64\nerror: app/frond.toml:5: merge.sha256: `app/faulty.wasm` is not the file that is pinned"
        ),
        "{text}"
    );
}

#[test]
fn a_leaf_of_another_version_of_the_contract() {
    let component = r#"(component
        (instance $leaf)
        (export "frond:plugin/process-partition@0.2.0" (instance $leaf)))"#;
    assert_snapshot!(with_component(component), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: exports frond:plugin/process-partition@0.2.0, this host speaks 0.1.1
    (build it against version 0.1.1 of the contract)
    ");
}

#[test]
fn a_leaf_that_wants_a_store() {
    let component = r#"(component
        (import "wasi:keyvalue/store@0.2.0-draft" (instance))
        (instance $leaf)
        (export "frond:plugin/process-partition@0.1.1" (instance $leaf)))"#;
    assert_snapshot!(with_component(component), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: imports wasi:keyvalue/store@0.2.0-draft, which this host does not offer
    (a guest may import WASI 0.2's cli, clocks, config, filesystem, http, io, random and sockets, and frond:plugin@0.1.1)
    ");
}

#[test]
fn a_leaf_whose_interface_is_empty() {
    let component = r#"(component
        (instance $leaf)
        (export "frond:plugin/process-partition@0.1.1" (instance $leaf)))"#;
    assert_snapshot!(with_component(component), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: does not fit the contract: frond:plugin/process-partition@0.1.1 lacks the function `process`
    (build it against version 0.1.1 of the contract)
    ");
}

#[test]
fn half_a_component() {
    let whole = fs::read(plugin("rail_leaf")).unwrap();
    // The offset of the cut depends on the size of the build.
    let text = with_leaf(&whole[..whole.len() / 2]);
    let (before, offset) = text.split_once("0x").unwrap();
    let after = offset.trim_start_matches(|digit: char| digit.is_ascii_hexdigit());
    assert_snapshot!(format!("{before}[offset]{after}"), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: is broken: unexpected end-of-file (at offset [offset])
    (was it copied whole? build it again)
    ");
}

#[test]
fn a_header_and_nothing_more() {
    assert_snapshot!(with_leaf(b"\0asm\x0d\0\x01\0"), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: does not export frond:plugin/process-partition@0.1.1, it exports no interface
    (in Rust, `frond_plugin::leaf!`, `merger!` and `splitter!` export these interfaces)
    ");
}

#[test]
fn a_file_of_200_mib() {
    let folder = app();
    let file = File::create(folder.path("app/leaf.wasm")).unwrap();
    file.set_len(200 << 20).unwrap();
    assert_snapshot!(asked(&folder), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm`: is 209715200 bytes large, the limit is 67108864
    (build it in release mode and without debug information)
    ");
}

#[test]
fn a_folder() {
    let folder = app();
    fs::create_dir(folder.path("app/leaf.wasm")).unwrap();
    assert_snapshot!(asked(&folder), @"
    exit 64
    error: app/frond.toml:2: leaf.component: `app/leaf.wasm` is not a file
    (name the wasm file itself)
    ");
}

#[test]
fn a_link_to_nothing() {
    let folder = app();
    std::os::unix::fs::symlink("gone.wasm", folder.path("app/leaf.wasm")).unwrap();
    assert_snapshot!(asked(&folder), @"
    exit 64
    error: app/frond.toml:2: leaf.component: there is no file `app/leaf.wasm`
    (correct the path, which is relative to frond.toml, or give the key `build` a command that makes the file)
    ");
}

#[test]
fn another_file_than_the_one_that_is_pinned() {
    let folder = Folder::new();
    let pin = "0".repeat(64);
    let component = r#"(component (instance $leaf) (export "frond:plugin/process-partition@0.1.1" (instance $leaf)))"#;
    folder.write("app/leaf.wasm", wat::parse_str(component).unwrap());
    let toml = format!(
        "[leaf]\ncomponent = \"leaf.wasm\"\nsha256 = \"{pin}\"\n[merge]\ncomponent = \"leaf.wasm\"\n[source]\nkind = \"query\"\n"
    );
    folder.write("app/frond.toml", toml);
    assert_snapshot!(asked(&folder), @"
    exit 64
    error: app/frond.toml:3: leaf.sha256: `app/leaf.wasm` is not the file that is pinned
     expected 0000000000000000000000000000000000000000000000000000000000000000
     found    2dfbd4ac2b34350fe934c6e2120f2e15b2270912fd8d557aab69312368503ef0
    (pin the new digest if you trust the file)
    ");
}

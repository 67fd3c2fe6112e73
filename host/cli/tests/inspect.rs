//! `frond inspect` from outside: reports on fitting, unfitting and hostile components.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::fmt::Write as _;
use std::fs::{self, File};

use insta::assert_snapshot;
use kit::{Folder, frond, plain, plugin};
use serde_json::json;

/// Returns a minimal leaf, with `data` as the type of the partition's data.
fn leaf(data: &str) -> Vec<u8> {
    let types = format!(
        r#"(type $p{{}} (record (field "key" string) (field "index" u32) (field "data" {data})))
        (type $f{{}} (variant
            (case "invalid-query" string) (case "invalid-partition" string) (case "unavailable" string)))"#
    );
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "memory") 4 16)
                (table 3 funcref)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
                (func (export "process") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16)))
            (core instance $m (instantiate $m))
            {outer}
            (component $named {inner} (export "partition" (type $p1)) (export "failure" (type $f1)))
            (instance $types (instantiate $named))
            (alias export $types "partition" (type $partition))
            (alias export $types "failure" (type $failure))
            (func $process (param "query" (list u8)) (param "partition" $partition)
                (result (result (list u8) (error $failure)))
                (canon lift (core func $m "process") (memory $m "memory") (realloc (func $m "realloc"))))
            (instance $out (export "partition" (type $partition)) (export "failure" (type $failure))
                (export "process" (func $process)))
            (export "frond:plugin/process-partition@0.1.1" (instance $out)))"#,
        outer = types.replace("{}", "0"),
        inner = types.replace("{}", "1"),
    );
    wat::parse_str(text).unwrap()
}

/// Returns a leaf that fits.
fn fitting() -> Vec<u8> {
    leaf("(list u8)")
}

/// Returns the exit code and stdout, without times.
fn shown(folder: &Folder, args: &str) -> String {
    let ended = folder.frond(args).env("COLUMNS", "120").run();
    assert!(ended.err().is_empty(), "{}", ended.err());
    format!("exit {}\n{}", ended.code.unwrap(), plain(&ended.out()))
}

fn with(bytes: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    folder.write("leaf.wasm", bytes);
    folder
}

#[test]
fn a_component_that_fits() {
    assert_snapshot!(shown(&with(fitting()), "inspect leaf.wasm --no-compile"), @r#"
    exit 0
    leaf.wasm: fits as leaf
      exports   frond:plugin/process-partition@0.1.1
      imports   nothing
      packages  frond:plugin@0.1.1
      size      664 B (664 bytes)
      sha256    781a9c4f34f7fc945e9a94d8394e23527ab070315130d51756afbf8dbf1e0ca9
      compiled  no: --no-compile
      code      1 core module, 1 inner component
      memory    256.0 KiB at the start in 1 memory, at most 1.0 MiB
      tables    3 elements in 1 table at the start
      made by   not stated
      names     functions have no names: backtraces show numbers (in Rust, strip = "debuginfo" keeps them)
      sections  component-name 108 B · name 4 B
    "#);
}

#[test]
fn it_is_compiled_once() {
    let folder = with(fitting());
    let cache = folder.path("cache");
    let state = |args: &str| {
        let ended = folder.frond(args).env("FROND_CACHE", &cache).run().expect(0);
        ended.json()["components"][0]["compiled"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("inspect leaf.wasm --format json --no-compile"), "not-asked");
    assert_eq!(state("inspect leaf.wasm --format json"), "compiled");
    assert_eq!(state("inspect leaf.wasm --format json"), "cached");
}

#[test]
fn the_cache_holds_as_much_as_it_is_told_to() {
    let folder = with(fitting());
    let cache = folder.path("cache");
    folder.write("other.wasm", [fitting(), b"\0\x06\x05other".to_vec()].concat());
    let state = |name: &str, size: &str| {
        let run = folder.frond(&format!("inspect {name} --format json")).env("FROND_CACHE", &cache);
        let ended = run.env("FROND_CACHE_SIZE", size).run().expect(0);
        ended.json()["components"][0]["compiled"]["state"].as_str().unwrap().to_owned()
    };
    // The second component evicts the first one, and an empty variable counts as unset.
    assert_eq!(
        ["leaf.wasm", "other.wasm", "other.wasm"].map(|name| state(name, "1")),
        ["compiled", "compiled", "cached"]
    );
    assert_eq!(["leaf.wasm", "other.wasm", "leaf.wasm"].map(|name| state(name, "")), ["compiled", "cached", "cached"]);
    folder.write("app/frond.toml", "[leaf]\ncomponent = \"../leaf.wasm\"\n");
    let ended = folder.frond("build app").env("FROND_CACHE", &cache).env("FROND_CACHE_SIZE", "lots").run().expect(0);
    assert_snapshot!(plain(&ended.err()), @"
    app has no build commands; its components are checked as they are
    warning: FROND_CACHE_SIZE is invalid, and the cache holds 2 GiB at most: `lots` is not a size
    (write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)
    app: the components fit
    ");
}

#[test]
fn a_component_with_another_type() {
    assert_snapshot!(shown(&with(leaf("string")), "inspect leaf.wasm"), @r#"
    exit 1
    leaf.wasm: does not fit
      not leaf  exports frond:plugin/process-partition@0.1.1, and process-partition.process: parameter 2 `partition`: field
                `data` is `string`, the contract says `list<u8>`
                the component: frond:plugin@0.1.1 · this host: frond:plugin@0.1.1
                (it was built against another text of the contract: use wit/world.wit of frond:plugin@0.1.1)
      exports   frond:plugin/process-partition@0.1.1
      imports   nothing
      packages  frond:plugin@0.1.1
      size      660 B (660 bytes)
      sha256    4b8b0dcea69ac0cde8429b422ddc3eca1a0fd2b075e6c4b5200c8a81cf227d0e
      compiled  no: it fits no role
      code      1 core module, 1 inner component
      memory    256.0 KiB at the start in 1 memory, at most 1.0 MiB
      tables    3 elements in 1 table at the start
      made by   not stated
      names     functions have no names: backtraces show numbers (in Rust, strip = "debuginfo" keeps them)
      sections  component-name 108 B · name 4 B
    "#);
}

#[test]
fn a_core_module() {
    assert_snapshot!(shown(&with(b"\0asm\x01\0\0\0"), "inspect leaf.wasm"), @"
    exit 1
    leaf.wasm: is no component that fits
      why       is a core module, not a component
                (build it for wasm32-wasip2, or wrap it with `wasm-tools component new`)
      size      8 B (8 bytes)
      sha256    93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476
      compiled  no: it fits no role
    ");
}

#[test]
fn a_real_guest_and_a_narrow_terminal() {
    let ended = frond(["inspect"]).arg(plugin("wordcount")).env("COLUMNS", "40").run().expect(0);
    assert!(ended.out().lines().all(|line| line.chars().count() <= 40), "{}", ended.out());
    assert!(ended.out().contains("memory    16.0 MiB at the start"), "{}", ended.out());
}

#[test]
fn an_app_is_each_of_its_components_in_the_role_it_is_given() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"");
    let ended = folder.frond("inspect app --format json --no-compile").run().expect(0);
    let found = ended.json();
    assert_eq!(found["components"].as_array().unwrap().len(), 1);
    assert_eq!(found["components"][0]["named"], json!(["leaf", "merge"]));
    // The component fits as a leaf, but not the role of a merge that the app gives it.
    folder.write("app/leaf.wasm", fitting());
    let toml = "[leaf]\ncomponent = \"leaf.wasm\"\n[merge]\ncomponent = \"leaf.wasm\"\n";
    folder.write("app/frond.toml", toml);
    let ended = folder.frond("inspect app --no-compile").run().expect(1);
    let text = ended.out();
    assert!(text.starts_with("app/leaf.wasm: does not fit as leaf, merge, as frond.toml names it\n"), "{text}");
    assert!(text.contains("not merge does not export frond:plugin/merge-partials@0.1.1"), "{text}");
    // A partial app is enough.
    folder.write("app/frond.toml", "[leaf]\ncomponent = \"leaf.wasm\"\n");
    folder.frond("inspect app --no-compile").run().expect(0);
    folder.frond("inspect app/frond.toml --no-compile").run().expect(0);
}

#[test]
fn what_is_not_there_or_cannot_be_read() {
    let folder = with(fitting());
    let error = |args: &str| folder.frond(args).run().expect(64).err();
    assert_snapshot!(error("inspect gone.wasm"), @"
    error: cannot read `gone.wasm`
    (give a component's .wasm file, or an app's folder)
      because: No such file or directory (os error 2)
    ");
    fs::create_dir(folder.path("empty")).unwrap();
    assert_snapshot!(error("inspect empty"), @"
    error: no app at `empty`: the folder has no frond.toml
    (give the folder that holds the app's frond.toml)
    ");
    assert_snapshot!(error("inspect /dev/null"), @"
    error: cannot read `/dev/null`
    (give a component's .wasm file, or an app's folder)
      because: it is not a regular file
    ");
    folder.write("app/frond.toml", "[leaf]\ncomponent = \"gone.wasm\"\n");
    assert_snapshot!(error("inspect app"), @"
    error: app/frond.toml:2: leaf.component: there is no file `app/gone.wasm`
    (correct the path, which is relative to frond.toml, or give the key `build` a command that makes the file)
    ");
}

#[test]
fn json_is_of_version_1() {
    let folder = with(fitting());
    let mut found = folder.frond("inspect leaf.wasm --format json --no-compile").run().expect(0).json();
    found["components"][0]["sha256"].as_str().filter(|digest| digest.len() == 64).unwrap();
    found["components"][0]["sha256"] = json!("…");
    assert_snapshot!(serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn a_hostile_component_is_shown_without_harm() {
    // An import with a name of 90,000 characters, a custom section with escapes as its name, and
    // 5000 imports.
    let mut text = String::from("(component");
    for number in 0..5000 {
        let _ = write!(text, r#"(import "f{number}" (func))"#);
    }
    let _ = write!(text, r#"(import "{}" (func)))"#, "x".repeat(90_000));
    let mut wasm = wat::parse_str(text).unwrap();
    wasm.extend(b"\0\x0e\x0d\x1b[2J\x1b]0;t\x07\r\n\t");
    let folder = with(wasm);
    for args in ["inspect leaf.wasm", "inspect leaf.wasm --format json"] {
        let ended = folder.frond(args).run().expect(1);
        let out = ended.out();
        assert!(out.len() < 20_000, "{}", out.len());
        assert!(!out.trim_end().contains(|c: char| c.is_control() && c != '\n'), "{out:?}");
        assert!(out.contains("u{1b}[2J"), "{out}");
    }
    let text = folder.frond("inspect leaf.wasm").run().out();
    assert!(text.contains("and 4,977 more"), "{text}");
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let folder = Folder::new();
    File::create(folder.path("leaf.wasm")).unwrap().set_len(200 << 20).unwrap();
    assert_snapshot!(shown(&folder, "inspect leaf.wasm"), @"
    exit 1
    leaf.wasm: is no component that fits
      why       is 209715200 bytes large, the limit is 67108864
                (build it in release mode and without debug information)
      size      200.0 MiB (209,715,200 bytes)
      compiled  no: it fits no role
    ");
}

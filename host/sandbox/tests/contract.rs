//! Components with another contract, or none, are refused with the first difference.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop where it is wrong")]

mod common;

use frond_root::call::Limits;
use frond_sandbox::{Metering, Plugin, Role};

use common::{Host, guest, wat};

/// Formats the refusals of all cases.
fn refusals(cases: &[(&str, Vec<u8>, Role)]) -> String {
    let host = Host::new(1, Limits::default());
    let refused = |(name, wasm, role): &(&str, Vec<u8>, Role)| {
        let error = Plugin::load(&host.sandbox, wasm, &[*role], Metering::Fuel).err();
        let error = error.unwrap_or_else(|| panic!("{name} should be refused"));
        format!("{name}\n  {}\n", error.to_string().replace('\n', "\n  "))
    };
    cases.iter().map(refused).collect()
}

fn text(text: &str) -> Vec<u8> {
    wat::assemble(text)
}

/// Makes a leaf whose `process` has another type.
fn typed(params: &str, result: &str, core: &str) -> Vec<u8> {
    text(&format!(
        r#"(component
            (core module $main
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
                (func (export "process") {core} unreachable))
            (core instance $main (instantiate $main))
            {types}
            (func $process {params} {result}
                (canon lift (core func $main "process")
                    (memory $main "memory") (realloc (func $main "realloc"))))
            {export})"#,
        types = wat::TYPES,
        export = wat::export("process-partition@0.1.1"),
    ))
}

const RESULT: &str = "(result (result (list u8) (error $failure)))";
const CORE: &str = "(param i32 i32 i32 i32 i32 i32 i32) (result i32)";

#[test]
fn what_does_not_fit_is_named() {
    let other = String::from_utf8(guest("faulty").split_off(0)[..4].to_vec()).unwrap();
    assert_eq!(other, "\0asm");
    let import = |name: &str, kind: &str| text(&format!(r#"(component (import "{name}" {kind}))"#));
    let leaf = |imports: &str| wat::with_imports(imports, "", "", wat::OK);
    insta::assert_snapshot!(refusals(&[
        ("empty", Vec::new(), Role::Leaf),
        ("text", b"fn main() {}".to_vec(), Role::Leaf),
        ("a core module", text("(module)"), Role::Leaf),
        ("an empty component", text("(component)"), Role::Leaf),
        ("only imports", import("wasi:cli/environment@0.2.0", "(instance)"), Role::Leaf),
        ("a leaf as merge", wat::leaf("", wat::OK), Role::Merge),
        ("a splitter as leaf", wat::splitter(1, 1), Role::Leaf),
        ("a key-value store", leaf(r#"(import "wasi:keyvalue/store@0.2.0-draft" (instance))"#), Role::Leaf),
        ("WASI 0.3", leaf(r#"(import "wasi:cli/stdout@0.3.0" (instance))"#), Role::Leaf),
        ("a later control", leaf(r#"(import "frond:plugin/control@0.2.0" (instance))"#), Role::Leaf),
        ("an unknown interface", leaf(r#"(import "frond:plugin/network@0.1.1" (instance))"#), Role::Leaf),
        (
            "a control with another function",
            leaf(r#"(import "frond:plugin/control@0.1.1" (instance (export "stop" (func))))"#),
            Role::Leaf,
        ),
        (
            "a control of another type",
            leaf(r#"(import "frond:plugin/control@0.1.1" (instance (export "remaining-ms" (func (result u32)))))"#),
            Role::Leaf,
        ),
    ]));
}

#[test]
fn functions_of_another_type_are_named() {
    insta::assert_snapshot!(refusals(&[
        ("no partition", typed(r#"(param "query" (list u8))"#, RESULT, "(param i32 i32) (result i32)"), Role::Leaf),
        (
            "a query of text",
            typed(r#"(param "query" string) (param "partition" $partition)"#, RESULT, CORE),
            Role::Leaf,
        ),
        (
            "no failure",
            typed(r#"(param "query" (list u8)) (param "partition" $partition)"#, "(result (list u8))", CORE),
            Role::Leaf,
        ),
        ("nothing at all", typed("", "", ""), Role::Leaf),
    ]));
}

#[test]
fn an_interface_without_its_function_is_named() {
    let wasm = text(
        r#"(component (component $c) (instance $i (instantiate $c))
            (export "frond:plugin/process-partition@0.1.1" (instance $i)))"#,
    );
    insta::assert_snapshot!(refusals(&[("no function", wasm, Role::Leaf)]));
}

#[test]
fn versions_of_the_contract_are_told_apart() {
    let leaf = |version: &str| {
        text(&format!(
            r#"(component (component $c) (instance $i (instantiate $c))
                (export "frond:plugin/process-partition@{version}" (instance $i)))"#
        ))
    };
    insta::assert_snapshot!(refusals(&[
        ("later", leaf("0.2.0"), Role::Leaf),
        ("earlier", leaf("0.0.9"), Role::Leaf),
        ("other role", leaf("0.2.0"), Role::Split),
    ]));
}

/// Reads a component that was built against version 0.1.0 of the contract.
fn old(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/0.1.0/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn components_of_the_first_version_go_on_working() {
    let host = Host::new(1, Limits::default());
    let wasm = old("pi");
    let merges = host.plugin(&wasm, &[Role::Merge], true);
    let merger = std::sync::Arc::new(frond_sandbox::MergeHost(frond_sandbox::Guests::new(
        host.sandbox.clock(),
        merges,
        Limits::default(),
    )));
    let pi = common::App { merger, ..host.leaf(&wasm, Limits::default()) };
    let range = frond_root::Partition::new("0", bytes::Bytes::from_static(br#"{"start":0,"end":1000}"#));
    let asked = pi.call(&host, "{}", range);
    assert_eq!((asked.json()["samples"].as_u64(), asked.json()["hits"].as_u64()), (Some(1000), Some(771)));
    let pull = host.leaf(&old("pull"), Limits::default());
    let asked = pull.call(&host, "", frond_root::Partition::new("a", bytes::Bytes::from(vec![7; 3 << 20])));
    assert_eq!(asked.json(), 3 << 20);
    let rail = host.leaf(&old("c_rail_leaf"), Limits::default());
    let asked = rail.call(&host, r#"{"from": "London"}"#, frond_root::Partition::new("Scotland", bytes::Bytes::new()));
    let failure = asked.failure();
    assert_eq!((failure.kind.slug(), failure.message.as_str()), ("invalid-query", "missing field `budget`"));
    for name in ["pi", "pull", "c_rail_leaf"] {
        let report = frond_sandbox::inspect::report(&old(name)).unwrap();
        let leaf = report.roles.iter().find(|fit| fit.role == Role::Leaf).unwrap();
        assert_eq!(leaf.mismatch, None, "{name}");
    }
}

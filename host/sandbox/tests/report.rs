//! Reports on components: the first difference from the contract, in words, and nothing harmful
//! from a hostile component.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use frond_sandbox::Role;
use frond_sandbox::inspect::report::{Demand, Import, Mismatch, MismatchKind, Report};
use frond_sandbox::inspect::{Misfit, report};
use frond_testkit::almost;
use insta::assert_snapshot;
use proptest::prelude::*;

use common::wat::{leb, section};
use common::{guest, wat};

/// Far more time than any test takes in a debug build on a busy machine; superlinear growth would
/// take hours.
const PATIENCE: Duration = Duration::from_secs(60);
const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// Makes a leaf from text, with each of the pairs replaced.
fn leaf(replaced: &[(&str, &str)]) -> Vec<u8> {
    let mut text = wat::text("", "", "", wat::OK);
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    wat::assemble(&text)
}

fn mismatch(report: &Report, role: Role) -> Mismatch {
    report.roles.iter().find(|fit| fit.role == role).unwrap().mismatch.clone().unwrap()
}

/// Formats why a component is no leaf: kind, text and hint.
fn no_leaf(wasm: &[u8]) -> String {
    let found = mismatch(&report(wasm).unwrap(), Role::Leaf);
    format!("{}\n{}\n({})", found.kind.slug(), found.text, found.hint)
}

#[test]
fn a_real_guest() {
    let found = report(&guest("faulty")).unwrap();
    assert_eq!(found.fits().collect::<Vec<_>>(), [Role::Leaf, Role::Merge, Role::Split]);
    let leaf = report(&guest("rail_leaf")).unwrap();
    assert_eq!(mismatch(&leaf, Role::Split).kind, MismatchKind::NotExported);
    assert!(found.asks.contains(&Import::Control) && found.asks.contains(&Import::Source), "{:?}", found.asks);
    assert!(found.packages.items.contains(&"frond:plugin@0.1.1".to_owned()));
    assert!(found.producers.items.iter().any(|one| one.field == "language" && one.name == "Rust"));
    assert!(found.has_function_names && found.debug_info == 0);
    assert!(found.demand.is_known && found.demand.memories == 1 && found.demand.memory_min == 16 << 20);
}

#[test]
fn the_first_item_that_differs_is_said_with_both_sides() {
    assert!(report(&leaf(&[])).unwrap().fits().eq([Role::Leaf]));
    assert_snapshot!(no_leaf(&leaf(&[(r#"(field "data" (list u8))"#, r#"(field "data" string)"#)])), @r"
    other-type
    exports frond:plugin/process-partition@0.1.1, and process-partition.process: parameter 2 `partition`: field `data` is `string`, the contract says `list<u8>`
    the component: frond:plugin@0.1.1 · this host: frond:plugin@0.1.1
    (it was built against another text of the contract: use wit/world.wit of frond:plugin@0.1.1)
    ");
    let first = |replaced: &[(&str, &str)]| no_leaf(&leaf(replaced)).lines().nth(1).unwrap().to_owned();
    assert_snapshot!(first(&[(r#""index""#, r#""position""#)]),
        @"exports frond:plugin/process-partition@0.1.1, and process-partition.process: parameter 2 `partition`: field 2 is `position`, the contract says `index`");
    assert_snapshot!(first(&[(r#"(field "index" u32)"#, r#"(field "index" char)"#)]),
        @"exports frond:plugin/process-partition@0.1.1, and process-partition.process: parameter 2 `partition`: field `index` is `char`, the contract says `u32`");
    assert_snapshot!(first(&[(r#"(case "unavailable" string)"#, "")]),
        @"exports frond:plugin/process-partition@0.1.1, and process-partition.process: the result: the error case: lacks case 3 `unavailable`");
    assert_snapshot!(first(&[(r#"(param "query" (list u8))"#, r#"(param "query" string)"#)]),
        @"exports frond:plugin/process-partition@0.1.1, and process-partition.process: parameter 1 `query` is `string`, the contract says `list<u8>`");
    assert_snapshot!(first(&[(r#"(result (result (list u8) (error $failure)))"#, r#"(result (result string (error $failure)))"#)]),
        @"exports frond:plugin/process-partition@0.1.1, and process-partition.process: the result: the ok case is `string`, the contract says `list<u8>`");
    assert_snapshot!(first(&[(r#"(export "process" (func $process))"#, r#"(export "work" (func $process))"#)]),
        @"exports frond:plugin/process-partition@0.1.1, and process-partition.process is missing: the contract says `func(query: list<u8>, partition: record { key: string, index: u32, data: list<u8> }) -> result<list<u8>, variant { invalid-query(string), invalid-partition(string), unavailable(string) }>`");
    // Names of parameters may differ.
    assert!(report(&leaf(&[(r#"(param "query""#, r#"(param "question""#)])).unwrap().fits().eq([Role::Leaf]));
}

#[test]
fn another_number_of_parameters() {
    let wasm = leaf(&[
        (r#"(param "partition" $partition)"#, ""),
        ("(param i32 i32 i32 i32 i32 i32 i32) (result i32)", "(param i32 i32) (result i32)"),
    ]);
    assert_snapshot!(no_leaf(&wasm).lines().nth(1).unwrap(), @"exports frond:plugin/process-partition@0.1.1, and process-partition.process: it takes 1 parameter (`query`), the contract says 2 parameters (`query`, `partition`)");
}

#[test]
fn another_version_or_another_package() {
    let export = "frond:plugin/process-partition@0.1.1";
    assert_snapshot!(no_leaf(&leaf(&[(export, "frond:plugin/process-partition@0.2.0")])), @r"
    other-version
    exports frond:plugin/process-partition@0.2.0, this host speaks frond:plugin/process-partition@0.1.1: its functions are the same
    the component: frond:plugin@0.2.0 · this host: frond:plugin@0.1.1
    (build it against version 0.1.1 of the contract)
    ");
    let older = leaf(&[
        (export, "frond:plugin/process-partition@0.0.9"),
        (r#"(field "data" (list u8))"#, r#"(field "data" string)"#),
    ]);
    assert_snapshot!(no_leaf(&older), @r"
    other-version
    exports frond:plugin/process-partition@0.0.9, this host speaks frond:plugin/process-partition@0.1.1: process-partition.process: parameter 2 `partition`: field `data` is `string`, the contract says `list<u8>`
    the component: frond:plugin@0.0.9 · this host: frond:plugin@0.1.1
    (build it against version 0.1.1 of the contract)
    ");
    assert_snapshot!(no_leaf(&leaf(&[(export, "frond:plugin/process-partition")])), @r"
    other-version
    exports frond:plugin/process-partition, this host speaks frond:plugin/process-partition@0.1.1: its functions are the same
    the component: without a version · this host: frond:plugin@0.1.1
    (build it against version 0.1.1 of the contract)
    ");
    assert_snapshot!(no_leaf(&leaf(&[(export, "acme:tool/process-partition@1.0.0")])), @r"
    other-package
    exports acme:tool/process-partition@1.0.0, which is not frond:plugin/process-partition@0.1.1: the name is the same, the package is not
    (export the interface of frond:plugin@0.1.1: the name alone is not enough)
    ");
}

#[test]
fn a_function_outside_of_its_interface() {
    let wasm = wat::assemble(
        r#"(component
            (core module $m (func (export "process")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "process")))
            (export "process" (func $f)))"#,
    );
    assert_snapshot!(no_leaf(&wasm), @r"
    not-exported
    does not export frond:plugin/process-partition@0.1.1
    (it exports `process` at the top level: the function belongs into the interface frond:plugin/process-partition@0.1.1)
    ");
}

#[test]
fn imports_that_no_guest_gets() {
    let with = |import: &str| wat::with_imports(import, "", "", wat::OK);
    assert_snapshot!(no_leaf(&with(r#"(import "acme:db/query@1.0.0" (instance))"#)), @r"
    unknown-import
    imports acme:db/query@1.0.0, which this host does not offer
    (build it without the code that needs this import, or compose it with a component that offers the import)
    ");
    assert_snapshot!(no_leaf(&with(r#"(import "frond:plugin/control@0.2.0" (instance))"#)), @r"
    unknown-import
    imports frond:plugin/control@0.2.0, this host speaks version 0.1.1
    the component: frond:plugin@0.2.0 · this host: frond:plugin@0.1.1
    (build it against version 0.1.1 of the contract)
    ");
    let read = r#"(import "frond:plugin/source@0.1.1" (instance
        (export "read" (func (param "offset" u32) (param "len" u32) (result (list u8))))))"#;
    assert_snapshot!(no_leaf(&with(read)), @r"
    other-import
    imports frond:plugin/source@0.1.1, and source.read: parameter 1 `offset` is `u32`, the contract says `u64`
    the component: frond:plugin@0.1.1 · this host: frond:plugin@0.1.1
    (it was built against another text of the contract: use wit/world.wit of frond:plugin@0.1.1)
    ");
    let more = r#"(import "frond:plugin/control@0.1.1" (instance (export "stop" (func))))"#;
    assert!(no_leaf(&with(more)).contains("control.stop is not in the contract"));
}

#[test]
fn what_is_no_component() {
    assert_eq!(report(&wat::assemble("(module)")), Err(Misfit::CoreModule));
    assert_eq!(report(b""), Err(Misfit::Empty));
    // It begins as a component does, but is not valid.
    let invalid = wat::assemble("(component (core module (func (result i32))))");
    assert!(matches!(report(&invalid), Err(Misfit::Broken(why)) if why.contains("type mismatch")));
}

/// Returns the demand of a component with this text.
fn demand(text: &str) -> Demand {
    report(&wat::assemble(&format!("(component {text})"))).unwrap().demand
}

#[test]
fn the_memories_of_all_instances_are_summed() {
    let module = "(core module $m (memory 2 5) (table 7 funcref))";
    let found = demand(&format!("{module} (core instance (instantiate $m)) (core instance (instantiate $m))"));
    assert_eq!((found.instances, found.memories, found.tables), (2, 2, 2));
    assert_eq!((found.memory_min, found.memory_max, found.table_min), (4 << 16, Some(10 << 16), 14));
    // A module that is never instantiated needs nothing; without a maximum in one module, there is
    // none in all.
    assert_eq!(demand(module).memories, 0);
    let endless = "(core module $e (memory 1)) (core instance (instantiate $e))";
    assert_eq!(demand(&format!("{module} {endless} (core instance (instantiate $m))")).memory_max, None);
    // In a nested component, and in one with a module from outside.
    let inner = format!("(component $c {module} (core instance (instantiate $m)))");
    assert_eq!(demand(&format!("{inner} (instance (instantiate $c)) (instance (instantiate $c))")).memory_min, 4 << 16);
    let aliased = format!("{module} (component $c (core instance (instantiate $m))) (instance (instantiate $c))");
    assert_eq!(demand(&aliased).memory_min, 2 << 16);
    let given = r#"(import "m" (core module $m)) (core instance (instantiate $m))"#;
    assert!(!demand(given).is_known);
}

#[test]
fn instances_that_double_at_each_level_are_counted_and_not_made() {
    let mut text = "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))".to_owned();
    for level in 1..90 {
        let inner = level - 1;
        text = format!(
            "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
        );
    }
    let start = Instant::now();
    let found = report(&wat::assemble(&text));
    assert!(start.elapsed() < PATIENCE);
    // The validator may refuse them; if it does not, the count must not overflow.
    if let Ok(found) = found {
        assert!(found.demand.memories <= 1 << 40 || found.demand.memories == u64::MAX, "{:?}", found.demand);
    }
    let doubled = "(component $a (core module $m (memory 1)) (core instance (instantiate $m)))
        (component $b (alias outer 1 $a (component $a)) (instance (instantiate $a)) (instance (instantiate $a)))
        (instance (instantiate $b)) (instance (instantiate $b))";
    assert_eq!(demand(doubled).memories, 4);
}

fn custom(name: &str, content: &[u8]) -> Vec<u8> {
    section(0, &[leb(name.len()).as_slice(), name.as_bytes(), content].concat())
}

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [HEADER, sections.concat().as_slice()].concat()
}

/// Joins all texts of a report.
fn all(report: &Report) -> String {
    let mut text = String::new();
    let lists = [&report.imports, &report.exports, &report.packages];
    for item in lists.into_iter().flat_map(|list| &list.items) {
        let _ = writeln!(text, "{item}");
    }
    for one in &report.producers.items {
        let _ = writeln!(text, "{} {} {}", one.field, one.name, one.version);
    }
    for one in &report.sections.items {
        let _ = writeln!(text, "{}", one.name);
    }
    for mismatch in report.roles.iter().filter_map(|fit| fit.mismatch.as_ref()) {
        let _ = writeln!(text, "{}\n{}", mismatch.text, mismatch.hint);
    }
    text
}

const EVIL: &str = "evil\x1b[2J\x1b]0;t\x07\u{202e}\r\n\t\u{9b}";

#[test]
fn nothing_of_it_can_drive_a_terminal() {
    let text = |text: &str| [leb(text.len()).as_slice(), text.as_bytes()].concat();
    let field = |name: &str| [text(name), leb(1), text(EVIL), text(EVIL)].concat();
    let producers = [leb(2), field("sdk"), field("language")].concat();
    let wasm = component(&[custom(EVIL, b"\x1b[2J"), custom("producers", &producers), custom("name", &[0xff; 9])]);
    let found = report(&wasm).unwrap();
    assert_eq!(found.producers.items.len(), 2);
    let shown = all(&found);
    assert!(shown.contains(r"evil\u{1b}[2J"), "{shown}");
    assert!(shown.lines().all(|line| !line.contains(|c: char| c.is_control() || c == '\u{202e}')), "{shown:?}");
    // Names of imports and exports must be valid in WIT: a component with others is refused.
    let import = [leb(1), vec![0], text(EVIL), vec![1, 0]].concat();
    let Err(Misfit::Broken(why)) = report(&component(&[section(10, &import)])) else { panic!("it is valid") };
    assert!(!why.contains(|c: char| c.is_control()), "{why:?}");
}

#[test]
fn long_lists_and_long_names_are_cut() {
    let mut text = String::from("(component");
    for number in 0..900 {
        let _ = write!(text, r#"(import "a:b{number}/c@1.0.{number}" (instance))"#);
    }
    for number in 0..5000 {
        let _ = write!(text, r#"(import "f{number}" (func))"#);
    }
    let endless = "x".repeat(90_000);
    let _ = write!(text, r#"(import "{endless}" (func)))"#);
    let mut wasm = wat::assemble(&text);
    for number in 0..10_000 {
        wasm.extend(custom(&format!("{endless}{number}"), b"").get(..).filter(|_| number % 100 == 0).unwrap_or(&[]));
        wasm.extend(custom(&format!("s{number}"), b""));
    }
    let start = Instant::now();
    let found = report(&wasm).unwrap();
    assert!(start.elapsed() < PATIENCE);
    assert_eq!((found.imports.items.len(), found.imports.more), (100, 5801));
    assert_eq!((found.packages.items.len(), found.packages.more), (100, 800));
    assert_eq!(found.sections.items.len(), 32);
    assert!(found.sections.more >= 10_000 - 32);
    let shown = all(&found);
    assert!(shown.len() < 100_000 && shown.lines().all(|line| line.chars().count() < 5000), "{}", shown.len());
}

#[test]
fn a_hundred_thousand_imports_are_refused() {
    let mut imports = Vec::new();
    for number in 0..100_000 {
        let name = format!("a{number}");
        imports.extend([&[0], leb(name.len()).as_slice(), name.as_bytes(), &[1, 0]].concat());
    }
    let wasm = component(&[section(10, &[leb(100_000), imports].concat())]);
    let start = Instant::now();
    assert_eq!(report(&wasm), Err(Misfit::Broken("it has more than 10000 imports or exports".to_owned())));
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn types_as_deep_and_as_wide_as_they_may_be_are_spelled_shortly() {
    let nested = |depth: usize, each: &str| {
        let mut text = "(component (type $t0 u8)".to_owned();
        for level in 1..=depth {
            let _ = write!(text, "(type $t{level} {})", each.replace('T', &format!("$t{}", level - 1)));
        }
        let _ = write!(
            text,
            r#"(core module $m (memory (export "m") 1) (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "f") (param i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $f (param "query" $t{depth}) (param "c" u8) (result (list u8))
                (canon lift (core func $i "f") (memory $i "m") (realloc (func $i "r"))))
            (instance $out (export "process" (func $f)))
            (export "frond:plugin/process-partition@0.1.1" (instance $out)))"#
        );
        ::wat::parse_str(&text).unwrap()
    };
    let start = Instant::now();
    for depth in [2, 50, 90, 200, 5000] {
        match report(&nested(depth, "(list T)")) {
            Ok(found) => {
                let text = mismatch(&found, Role::Leaf).text;
                assert!(text.contains("parameter 1 `query`") && text.len() < 1000, "{text}");
            }
            Err(Misfit::Broken(why)) => assert!(depth > 90 && why.contains("nest"), "{depth}: {why}"),
            Err(other) => panic!("{other}"),
        }
    }
    // Each level doubles the length of the spelled-out type.
    for depth in [5, 15, 60] {
        match report(&nested(depth, "(list (tuple T T))")) {
            Ok(found) => assert!(mismatch(&found, Role::Leaf).text.len() < 1000),
            Err(Misfit::Broken(why)) => assert!(depth > 5 && why.contains("size"), "{depth}: {why}"),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_large_custom_section_costs_nothing() {
    let content = vec![0; 60 << 20];
    let start = Instant::now();
    let found = report(&component(&[custom("large", &content)])).unwrap();
    assert_eq!(found.sections.items[0].size, 60 << 20);
    // If the zeros were read as producers, they would be 60 million empty fields.
    let found = report(&component(&[custom("producers", &content), custom("name", &content[..1 << 20])])).unwrap();
    assert!(found.producers.items.len() <= 32);
    assert!(start.elapsed() < PATIENCE);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_looked_at_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = report(&[HEADER, &bytes].concat());
        let _ = report(&component(&[custom("producers", &bytes), custom("name", &bytes)]));
        for id in 0..12 {
            let _ = report(&component(&[section(id, &bytes)]));
        }
    }

    #[test]
    fn a_real_component_with_a_changed_byte(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut wasm = wat::leaf("(memory 1) (table 1 funcref)", wat::OK);
        let index = at.index(wasm.len());
        wasm[index] = to;
        let _ = report(&wasm);
    }

    #[test]
    fn components_with_several_changes(bytes in almost([wat::leaf("(memory 1)", wat::OK), guest("rail_leaf")])) {
        frond_sandbox::fuzzing::component(&bytes);
    }
}

//! Compile cost of components: refused before compilation just above the bounds, accepted at them.

use super::*;

fn component(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(component $root {body})")).unwrap_or_else(|error| panic!("{error}"))
}

/// Makes a component with a function of this many locals and loops.
fn function(locals: u64, loops: u64) -> Vec<u8> {
    let locals = "(local i32)".repeat(usize::try_from(locals).unwrap_or(0));
    let loops = "(loop br 0)".repeat(usize::try_from(loops).unwrap_or(0));
    component(&format!("(core module (func {locals} {loops}))"))
}

/// Makes a chain of components, each of which instantiates the previous one twice.
fn doubling(levels: usize) -> Vec<u8> {
    let level = |at: usize| {
        let before = at - 1;
        format!(
            "(component $c{at} (alias outer $root $c{before} (component $x)) \
             (instance (instantiate $x)) (instance (instantiate $x)))"
        )
    };
    let all: String = (1..=levels).map(level).collect();
    component(&format!("(component $c0) {all} (instance (instantiate $c{levels}))"))
}

fn refusal(bytes: &[u8]) -> String {
    match weigh(bytes) {
        Err(Misfit::TooCostly(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn locals_times_blocks_of_one_function_are_bounded() {
    let most = MAX_LOCALS_BLOCKS / 1000;
    assert_eq!(weigh(&function(1000, most)), Ok(()));
    let why = refusal(&function(1000, most + 1));
    assert!(why.contains(&format!("1000 locals and {} blocks", most + 1)), "{why}");
}

#[test]
fn many_locals_or_many_blocks_alone_are_taken() {
    assert_eq!(weigh(&function(40_000, 100)), Ok(()));
    assert_eq!(weigh(&function(1, 200_000)), Ok(()));
}

#[test]
fn a_function_of_more_than_two_mebibytes_is_refused() {
    let nops = |count: usize| component(&format!("(core module (func {}))", "nop ".repeat(count)));
    // The number of locals and the end take a byte each.
    assert_eq!(weigh(&nops((2 << 20) - 2)), Ok(()));
    let why = refusal(&nops((2 << 20) - 1));
    assert!(why.contains("has 2097153 bytes, the limit is 2097152"), "{why}");
}

#[test]
fn instances_of_instances_are_counted_and_not_made() {
    assert_eq!(weigh(&doubling(10)), Ok(()));
    let why = refusal(&doubling(40));
    assert!(why.contains("counting each instance of an instance"), "{why}");
}

#[test]
fn bytes_that_are_no_valid_component_are_broken() {
    assert!(matches!(weigh(b"\0asm\x0d\0\x01\0\xff"), Err(Misfit::Broken(_))));
}

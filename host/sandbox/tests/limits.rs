//! Limits hold for components that no compiler would produce: leaves written as text.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use bytes::Bytes;
use frond_root::Partition;
use frond_root::call::Limits;
use frond_sandbox::{Guests, Role, SplitHost};

use common::{ENDLESS, Host, PATIENCE, QueryResult, wat};

const SMALL: Limits = Limits {
    fuel: 10_000_000,
    memory: 1 << 20,
    table_elements: 1000,
    output: 1000,
    log: 1000,
    partition: 1000,
    host_calls: 1000,
};

fn run(wasm: &[u8], limits: Limits) -> QueryResult {
    let host = Host::new(1, limits);
    host.leaf(wasm, limits).call(&host, "", Partition::new("a", Bytes::new()))
}

fn check(core: &str, body: &str, slug: &str, message: &str) {
    for fuel in [SMALL.fuel, 0] {
        let asked = run(&wat::leaf(core, body), Limits { fuel, ..SMALL });
        assert_eq!(asked.slug(), slug, "{:?}", asked.first());
        if slug != "ok" {
            assert_eq!(asked.failure().message, message);
        }
    }
}

/// Writes an endless loop of `grow`, which ignores refusals.
fn forever(grow: &str) -> String {
    format!("(loop (drop {grow}) (br 0)) unreachable")
}

#[test]
fn a_memory_that_grows_on_is_stopped_though_its_guest_never_minds_a_refusal() {
    // The other memory of the component already has 256 KiB.
    check(
        "(memory 1)",
        &forever("(memory.grow (i32.const 3))"),
        "out-of-memory",
        "asked for 1114112 bytes of memory: limits.leaf.memory is 1 MiB; raise it with `[limits.leaf] memory = …`",
    );
}

#[test]
fn memories_count_together() {
    // Each memory is within the limit, but not their sum.
    let one =
        "asked for 1114112 bytes of memory: limits.leaf.memory is 1 MiB; raise it with `[limits.leaf] memory = …`";
    check("(memory 12)", wat::OK, "ok", "");
    check("(memory 13)", wat::OK, "out-of-memory", one);
    check("(memory 6) (memory 7)", wat::OK, "out-of-memory", one);
}

#[test]
fn growth_beyond_what_a_guest_itself_declares_is_refused_as_it_expects() {
    let refused = format!("(if (i32.ne (memory.grow (i32.const 2)) (i32.const -1)) (then unreachable)) {}", wat::OK);
    check("(memory 1 2)", &refused, "ok", "");
    let refused = format!(
        "(if (i32.ne (table.grow $t (ref.null func) (i32.const 2)) (i32.const -1)) (then unreachable)) {}",
        wat::OK
    );
    check("(table $t 1 2 funcref)", &refused, "ok", "");
    // Refused growth is not counted.
    let many = format!(
        "(local $i i32) (loop (drop (memory.grow (i32.const 2)))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))) {}",
        wat::OK
    );
    check("(memory 1 2)", &many, "ok", "");
}

#[test]
fn a_growth_that_no_memory_can_have_is_stopped() {
    let grow = "(drop (memory.grow (i32.const 65535))) unreachable";
    check(
        "(memory 1)",
        grow,
        "out-of-memory",
        "asked for 4295229440 bytes of memory: limits.leaf.memory is 1 MiB; raise it with `[limits.leaf] memory = …`",
    );
    let beyond = "(drop (memory.grow (i32.const -1))) unreachable";
    check(
        "(memory 1)",
        beyond,
        "out-of-memory",
        "asked for 281474976972800 bytes of memory: limits.leaf.memory is 1 MiB; raise it with `[limits.leaf] memory = …`",
    );
}

#[test]
fn tables_count_together() {
    let grow = forever("(table.grow $t (ref.null func) (i32.const 100))");
    let message = "asked for 1001 table elements: limits.leaf.table-elements is 1,000; raise it with `[limits.leaf] table-elements = …`";
    check("(table $t 1 funcref)", &grow, "out-of-memory", message);
    check("(table 500 funcref) (table 500 funcref)", wat::OK, "ok", "");
    check("(table 500 funcref) (table 501 funcref)", wat::OK, "out-of-memory", message);
}

const CONTROL: &str = r#"(import "frond:plugin/control@0.1.1" (instance $control
    (export "remaining-ms" (func (result u64)))
    (export "emit-partial" (func (param "partial" (list u8)) (param "done" float64)))))"#;
const LOWERED: &str = r#"
    (core func $remaining (canon lower (func $control "remaining-ms")))
    (core func $emit (canon lower (func $control "emit-partial") (memory $libc "memory")))
    (core instance $host (export "remaining" (func $remaining)) (export "emit" (func $emit)))"#;
const IMPORTS: &str = r#"(import "host" "remaining" (func $remaining (result i64)))
    (import "host" "emit" (func $emit (param i32 i32 f64)))"#;

#[test]
fn host_calls_are_counted() {
    let wasm = |count: u32| {
        let body = format!(
            "(local $i i32) (loop (drop (call $remaining))
                (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {count})))) {}",
            wat::OK
        );
        wat::with_imports(CONTROL, LOWERED, IMPORTS, &body)
    };
    assert_eq!(run(&wasm(1000), SMALL).slug(), "ok");
    let asked = run(&wasm(1001), SMALL);
    assert_eq!(asked.slug(), "host-call-denied");
    assert_eq!(
        asked.failure().message,
        "made too many calls to the host: limits.leaf.host-calls is 1,000; raise it with `[limits.leaf] host-calls = …`"
    );
}

#[test]
fn an_emission_is_checked_before_it_is_copied() {
    let emit = |ptr: i32, len: i32, done: &str| {
        let body = format!("(call $emit (i32.const {ptr}) (i32.const {len}) (f64.const {done})) {}", wat::OK);
        run(&wat::with_imports(CONTROL, LOWERED, IMPORTS, &body), SMALL).slug()
    };
    assert_eq!(emit(0, 1000, "0.5"), "ok");
    assert_eq!(emit(0, 1001, "0.5"), "output-too-large");
    assert_eq!(emit(-1, 1000, "0.5"), "trap");
    assert_eq!(emit(0, -1, "0.5"), "trap");
    for done in ["-0.1", "1.1", "nan", "inf"] {
        assert_eq!(emit(0, 0, done), "trap", "{done}");
    }
}

#[test]
fn a_result_outside_of_the_memory_is_a_trap() {
    for body in ["(i32.const -4)", "(i32.const 262140)", "(i32.const 17)"] {
        assert_eq!(run(&wat::leaf("", body), SMALL).slug(), "trap", "{body}");
    }
}

#[test]
fn a_long_message_of_a_guests_is_cut() {
    // `invalid-partition` with a message of 200 KiB of zeros.
    let core =
        r#"(import "libc" "memory" (memory 0)) (data (i32.const 32) "\01\00\00\00\01\00\00\00\00\00\00\00\00\20\03")"#;
    let asked = run(&wat::leaf(core, "(i32.const 32)"), Limits { output: 1 << 20, ..SMALL });
    let failure = asked.failure();
    assert_eq!(failure.kind.slug(), "invalid-partition");
    assert!(failure.message.len() < 32 << 10, "{}", failure.message.len());
    assert!(!failure.message.contains('\0'));
}

#[test]
fn a_loop_before_the_call_is_stopped() {
    let core = "(func $endless (loop (br 0))) (start $endless)";
    assert_eq!(run(&wat::leaf(core, wat::OK), SMALL).slug(), "out-of-fuel");
}

#[test]
fn a_split_may_return_no_more_than_its_limit() {
    let host = Host::new(1, SMALL);
    let split = |count: u32, size: u32, limits: Limits| {
        let plugin = host.plugin(&wat::splitter(count, size), &[Role::Split], limits.fuel > 0);
        let splits = SplitHost(Guests::new(host.sandbox.clock(), plugin, limits));
        let until = std::time::Instant::now() + PATIENCE;
        let parts = host.runtime.block_on(splits.split(Bytes::new(), 1, until));
        parts.map(|parts| parts.len()).map_err(|failure| failure.kind.slug())
    };
    assert_eq!(split(10, 100, SMALL), Ok(10));
    assert_eq!(split(11, 100, SMALL), Err("output-too-large"));
    // All partitions share their bytes: the guest holds them once, but the host would copy them
    // each time.
    let wide = Limits { output: ENDLESS, ..SMALL };
    assert_eq!(split(1000, 10_000, wide), Err("trap"));
}

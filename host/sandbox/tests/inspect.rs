//! Loading of arbitrary bytes: none crash the host, and each refusal gives its reason.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::fs::File;

use bytes::Bytes;
use frond_root::Partition;
use frond_root::call::Limits;
use frond_sandbox::inspect::{MAX_SIZE, Misfit, report, surface};
use frond_sandbox::{Compiler, LoadError, Metering, Plugin, Role, Settings};
use proptest::prelude::*;

use common::wat::{leb, section};
use common::{Host, guest, wat};

const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

const SMALL: Limits = Limits {
    fuel: 100_000,
    memory: 1 << 20,
    table_elements: 100,
    output: 1000,
    log: 1000,
    partition: 1000,
    host_calls: 100,
};

/// Makes a host without a cache.
fn host(limits: Limits) -> Host {
    Host::with(Settings { slots: 1, waiting: 0, limits: vec![limits], cache: None, compiler: Compiler::in_process() })
}

fn load(host: &Host, wasm: &[u8]) -> Result<Plugin, LoadError> {
    Plugin::load(&host.sandbox, wasm, &[Role::Leaf], Metering::Fuel)
}

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [HEADER, sections.concat().as_slice()].concat()
}

/// Makes a component that imports functions of these names, and exports an interface of a leaf.
fn importing<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut count = 0;
    let mut imports = Vec::new();
    for name in names {
        imports.extend([&[0], leb(name.len()).as_slice(), name, &[1, 0]].concat());
        count += 1;
    }
    let name = b"frond:plugin/process-partition@0.1.1";
    let export = [&[1, 0], leb(name.len()).as_slice(), name, &[5, 0, 0]].concat();
    component(&[section(10, &[leb(count), imports].concat()), section(11, &export)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_looked_at_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = surface(&bytes);
        let _ = surface(&[HEADER, &bytes].concat());
        let _ = surface(&[b"\0asm\x01\0\0\0", bytes.as_slice()].concat());
        for id in 0..12 {
            let _ = surface(&component(&[section(id, &bytes)]));
        }
    }
}

#[test]
fn a_component_cut_anywhere_is_refused() {
    let host = host(Limits::default());
    let wasm = guest("faulty");
    for length in (0..wasm.len()).step_by(97) {
        // With its exports complete, it has a surface, but is still no component.
        let _ = surface(&wasm[..length]);
        if length % (97 * 16) == 0 {
            assert!(load(&host, &wasm[..length]).is_err(), "{length}");
        }
    }
    // It may only be cut between the custom sections at its end.
    let small = wat::leaf("", wat::OK);
    let whole: Vec<usize> = (0..small.len()).filter(|length| load(&host, &small[..*length]).is_ok()).collect();
    assert!(whole.len() <= 2 && whole.iter().all(|length| *length > small.len() / 2), "{whole:?}");
}

#[test]
fn a_component_with_flipped_bits_is_refused_or_runs_in_bounds() {
    let host = host(SMALL);
    let small = wat::leaf("(memory 1) (table 1 funcref)", wat::OK);
    let mut ran = 0;
    for bit in 0..small.len() * 8 {
        let mut flipped = small.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = surface(&flipped);
        if bit % 7 == 0 && load(&host, &flipped).is_ok() {
            let asked = host.leaf(&flipped, SMALL).call(&host, "", Partition::new("a", Bytes::new()));
            assert!(asked.answer.coverage().partitions.is_closed());
            ran += 1;
        }
    }
    assert!(ran > 0);
    let wasm = guest("faulty");
    for sample in 0..400 {
        let mut flipped = wasm.clone();
        flipped[sample * (wasm.len() / 400)] ^= 1 << (sample % 8);
        let _ = surface(&flipped);
        if sample % 40 == 0 {
            let _ = load(&host, &flipped);
        }
    }
}

#[test]
fn endless_lists_of_imports_are_refused() {
    let names: Vec<Vec<u8>> = (0..100_000).map(|number| format!("a{number}").into_bytes()).collect();
    let wasm = importing(names.iter().map(Vec::as_slice));
    assert_eq!(surface(&wasm), Err(Misfit::Broken("it has more than 10000 imports or exports".to_owned())));
    let host = host(Limits::default());
    assert!(load(&host, &wasm).is_err());
    // A count that is larger than the section.
    let lies = component(&[section(10, &[0xff, 0xff, 0xff, 0xff, 0x0f])]);
    assert!(matches!(surface(&lies), Err(Misfit::Broken(_))));
}

#[test]
fn deeply_nested_components_are_refused() {
    let nested = |depth: usize| {
        // Built from the inside out, in reverse.
        let mut backwards: Vec<u8> = HEADER.iter().rev().copied().collect();
        for _ in 0..depth {
            let size = leb(backwards.len());
            backwards.extend(size.iter().rev());
            backwards.push(4);
            backwards.extend(HEADER.iter().rev());
        }
        backwards.reverse();
        backwards
    };
    assert!(surface(&nested(99)).is_ok());
    let host = host(Limits::default());
    for depth in [100, 100_000] {
        let refused = Err(Misfit::Broken("it is nested more than 100 deep".to_owned()));
        assert_eq!(surface(&nested(depth)), refused);
        assert!(load(&host, &nested(depth)).is_err());
    }
}

#[test]
fn names_cannot_drive_a_terminal() {
    let name = "evil\x1b[2J\u{202e}name\r\u{7}";
    let wasm = importing([name.as_bytes()]);
    let found = surface(&wasm).unwrap();
    assert_eq!(found.imports, [r"evil\u{1b}[2J\u{202e}name\r\u{7}"]);
    let host = host(Limits::default());
    let error = load(&host, &wasm).unwrap_err().to_string();
    let first = error.lines().next().unwrap();
    assert!(first.contains(r"evil\u{1b}") && !first.contains(|c: char| c.is_control()), "{first:?}");
    for misfit in [surface(b"\x1b[2J not wasm"), surface(b"\0asm\x1b[2J not wasm")] {
        let text = misfit.unwrap_err().to_string();
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

#[test]
fn proposals_that_are_turned_off_are_named() {
    let host = host(Limits::default());
    for (core, name) in [
        ("(memory 1 1 shared)", "threads"),
        ("(tag)", "exceptions"),
        ("(type (struct))", "gc"),
        ("(table 1 externref)", "gc (of which externref is a part)"),
        (
            "(func (result i64 i64) (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)))",
            "wide-arithmetic",
        ),
    ] {
        let wasm = wat::leaf(core, wat::OK);
        let Err(LoadError::Misfit(Misfit::Proposals(named))) = load(&host, &wasm) else { panic!("{core}") };
        assert!(named.split(", ").any(|one| one == name), "{core}: {named}");
        assert_eq!(report(&wasm).map(drop), Err(Misfit::Proposals(named)), "{core}");
    }
    // Offered proposals are not refused.
    for core in [
        "(func $f (return_call $f))",
        "(func (result v128) (v128.const i32x4 1 2 3 4))",
        "(memory i64 1)",
        "(func (param funcref))",
        "(func (result i32 i32) (i32.const 1) (i32.const 2))",
        "(type $f (func)) (func (param (ref $f)))",
    ] {
        let wasm = wat::leaf(core, wat::OK);
        assert!(report(&wasm).is_ok(), "{core}");
        load(&host, &wasm).unwrap_or_else(|error| panic!("{core}: {error}"));
    }
}

#[test]
fn a_file_beyond_the_limit_is_refused_by_its_size() {
    let large = component(&[section(0, &vec![0; 100 << 20])]);
    let size = large.len() as u64;
    assert_eq!(surface(&large), Err(Misfit::TooLarge { size }));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("large.wasm");
    // A sparse file: it is refused by its size, without being read.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = frond_sandbox::component::read(&path).unwrap_err();
    assert!(matches!(error, LoadError::Misfit(Misfit::TooLarge { size }) if size == 1 << 40), "{error}");
    File::create(&path).unwrap().set_len(MAX_SIZE).unwrap();
    assert_eq!(frond_sandbox::component::read(&path).unwrap().len() as u64, MAX_SIZE);
    assert!(matches!(frond_sandbox::component::read(dir.path()), Err(LoadError::Unreadable(_))));
}

#[test]
fn components_that_double_forty_times_are_refused_and_not_made() {
    // Each instantiates the previous one twice: 2^40 instances in some kilobytes.
    let level = |at: u32| {
        let before = at - 1;
        format!(
            "(component (alias outer 1 {before} (component)) (instance (instantiate 0)) (instance (instantiate 0)))"
        )
    };
    let levels: String = (1..=40).map(level).collect();
    let bytes = wat::with_imports(&format!("(component) {levels} (instance (instantiate 40))"), "", "", wat::OK);
    assert!(bytes.len() < 8192, "{}", bytes.len());
    let error = load(&host(Limits::default()), &bytes).unwrap_err().to_string();
    assert!(error.contains("counting each instance of an instance"), "{error}");
}

#[test]
fn a_pipe_in_the_place_of_a_component_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("pipe.wasm");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = frond_sandbox::component::read(&path).unwrap_err();
    assert!(matches!(error, LoadError::Unreadable(_)), "{error}");
}

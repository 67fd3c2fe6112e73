//! Cache of compiled components: components are found again and told apart, and damaged files never
//! run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use frond_root::call::{InstanceMode, Limits};
use frond_sandbox::component::Origin;
use frond_sandbox::{Compiler, Leaf, LeafHost, Role, Settings};
use tempfile::TempDir;

use common::{App, Host, PATIENCE, guest, wat};

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Makes a host, in place of a process, with its cache in the folder.
fn host(dir: &Path) -> Host {
    Host::with(Settings {
        slots: 1,
        waiting: 0,
        limits: vec![Limits::default()],
        cache: Some(dir.to_owned()),
        compiler: Compiler::in_process(),
    })
}

fn load(dir: &Path, metered: bool) -> Origin {
    host(dir).plugin(&wat::leaf("", wat::OK), &[Role::Leaf], metered).origin()
}

/// Lists the compiled components in a folder, which must hold nothing else.
fn compiled(dir: &Path) -> Vec<PathBuf> {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().all(|file| file.extension().is_some_and(|one| one == "cwasm")), "{files:?}");
    files
}

#[test]
fn the_second_load_finds_what_the_first_compiled() {
    let dir = folder();
    assert_eq!((load(dir.path(), true), load(dir.path(), true)), (Origin::Compiled, Origin::Cached));
    assert_eq!(compiled(dir.path()).len(), 1);
    let mode = fs::metadata(&compiled(dir.path())[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn another_engine_does_not_take_it() {
    let dir = folder();
    assert_eq!((load(dir.path(), true), load(dir.path(), false)), (Origin::Compiled, Origin::Compiled));
    assert_eq!((load(dir.path(), true), load(dir.path(), false)), (Origin::Cached, Origin::Cached));
    // Simulates a file that an engine with other settings has written for this one.
    let files = compiled(dir.path());
    fs::copy(&files[0], &files[1]).unwrap();
    let loads = [load(dir.path(), true), load(dir.path(), false)];
    assert!(loads.contains(&Origin::Compiled), "{loads:?}");
}

#[test]
fn damaged_files_are_compiled_anew() {
    let dir = folder();
    load(dir.path(), true);
    let file = &compiled(dir.path())[0];
    let whole = fs::read(file).unwrap();
    let check = |damaged: &[u8], what: &str| {
        fs::write(file, damaged).unwrap();
        assert_eq!(load(dir.path(), true), Origin::Compiled, "{what}");
        assert_eq!(load(dir.path(), true), Origin::Cached, "{what}");
        assert_eq!(fs::read(file).unwrap().len(), whole.len(), "{what}");
    };
    for length in [0, 1, 23, 24, 64, 4096, whole.len() / 2, whole.len() - 25, whole.len() - 24, whole.len() - 1] {
        check(&whole[..length], &format!("cut to {length} bytes"));
    }
    for part in 0..16 {
        let mut damaged = whole.clone();
        let at = whole.len() * part / 16 + part;
        damaged[at] ^= 1 << (part % 8);
        check(&damaged, &format!("one bit of byte {at}"));
    }
    check(&[whole.as_slice(), b"more"].concat(), "longer");
    check(&vec![0; whole.len()], "zeros");
    check(b"\x7fELF and nothing more of it than the name", "not even a header");
}

#[test]
fn what_others_could_have_written_is_not_used() {
    let dir = folder();
    load(dir.path(), true);
    let file = compiled(dir.path())[0].clone();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(load(dir.path(), true), Origin::Compiled);
    // Links are not followed.
    let elsewhere = folder();
    let moved = elsewhere.path().join("moved.cwasm");
    fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    assert_eq!(load(dir.path(), true), Origin::Compiled);
    assert_eq!(load(dir.path(), true), Origin::Cached);
}

#[test]
fn code_that_was_loaded_runs_on_whatever_becomes_of_its_file() {
    let dir = folder();
    // Twice: freshly compiled code is in memory in any case, cached code might be mapped.
    for origin in [Origin::Compiled, Origin::Cached] {
        let host = host(dir.path());
        let plugin = host.plugin(&guest("faulty"), &[Role::Leaf], true);
        assert_eq!(plugin.origin(), origin);
        let leaf = Leaf {
            plugin,
            limits: Limits::default(),
            deterministic: false,
            grants: Arc::default(),
            instance: InstanceMode::Fresh,
        };
        let app = App {
            leaves: LeafHost::new(host.slots.clone(), leaf),
            ..host.faulty(Limits::default(), Limits::default())
        };
        let files: Vec<_> = compiled(dir.path()).into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect();
        for (_, file) in &files {
            File::options().write(true).open(file).unwrap().set_len(0).unwrap();
        }
        // If the file were mapped, this would end the process with SIGBUS.
        assert_eq!(app.obey(&host, "clock", PATIENCE).slug(), "ok");
        for (code, file) in files {
            fs::write(file, code).unwrap();
        }
    }
}

/// Checks that an unusable folder is a warning, and that everything works without it.
fn check_warns(dir: &Path, why: &str) {
    let host = host(dir);
    let warnings = host.sandbox.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("components are compiled again each time: "), "{warnings:?}");
    assert!(warnings[0].ends_with(why), "{warnings:?}");
    for _ in 0..2 {
        assert_eq!(host.plugin(&wat::leaf("", wat::OK), &[Role::Leaf], true).origin(), Origin::Compiled);
    }
    assert!(host.sandbox.take_warnings().is_empty());
}

#[test]
fn a_folder_that_others_may_write_to_gets_one_inside_and_what_cannot_be_trusted_is_a_warning() {
    let dir = folder();
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!((load(&open, true), load(&open, true)), (Origin::Compiled, Origin::Cached));
    let inside: Vec<_> = fs::read_dir(&open).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!((inside.len(), compiled(&inside[0]).len()), (1, 1), "{inside:?}");
    assert_eq!(fs::metadata(&inside[0]).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&inside[0], fs::Permissions::from_mode(0o777)).unwrap();
    check_warns(&open, "not a folder that only this user can write to");
    let link = dir.path().join("link");
    symlink(folder().path(), &link).unwrap();
    check_warns(&link, "File exists (os error 17)");
    let own = folder();
    let link = dir.path().join("other");
    symlink(own.path(), &link).unwrap();
    check_warns(&link, "not a folder that only this user can write to");
}

#[test]
fn a_folder_that_cannot_be_made_is_a_warning_and_no_cache() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    check_warns(&file.join("below"), "Not a directory (os error 20)");
    check_warns(Path::new("/proc/frond"), "No such file or directory (os error 2)");
}

#[test]
fn a_folder_that_goes_away_is_a_warning() {
    let dir = folder();
    let host = host(&dir.path().join("cache"));
    fs::remove_dir(dir.path().join("cache")).unwrap();
    assert_eq!(host.plugin(&wat::leaf("", wat::OK), &[Role::Leaf], true).origin(), Origin::Compiled);
    let warnings = host.sandbox.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("the compiled component could not be cached: "), "{warnings:?}");
}

#[test]
fn a_cached_component_runs_as_a_compiled_one() {
    let dir = folder();
    let wasm = guest("faulty");
    let usage = || {
        let host = host(dir.path());
        let app = host.leaf(&wasm, Limits::default());
        app.obey(&host, "burn:1", PATIENCE).usage()
    };
    assert_eq!(usage(), usage());
    // The first load makes the engine.
    let host = host(dir.path());
    let wasm = guest("pi");
    host.plugin(&wasm, &[Role::Leaf], true);
    let load = || {
        let begun = Instant::now();
        assert_eq!(host.plugin(&wasm, &[Role::Leaf], true).origin(), Origin::Cached);
        begun.elapsed()
    };
    let best = (0..50).map(|_| load()).min().unwrap();
    println!("a cached component is ready after {best:?}");
}

/// Makes a host, in place of a process, whose cache in the folder has this bound in bytes.
fn bounded(dir: &Path, size: u64) -> Host {
    let mut host = host(dir);
    host.sandbox = host.sandbox.bounding_cache(size);
    host
}

/// Makes a leaf that is a distinct component per `number`.
fn numbered(number: usize) -> Vec<u8> {
    wat::leaf(&format!("(global $number i32 (i32.const {number}))"), wat::OK)
}

/// Sets the last use of a file to this many hours ago.
fn age(path: &Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(3600 * hours);
    File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let dir = folder();
    let load = |host: &Host, number: usize| host.plugin(&numbered(number), &[Role::Leaf], true).origin();
    assert_eq!(load(&host(dir.path()), 0), Origin::Compiled);
    let size = fs::metadata(&compiled(dir.path())[0]).unwrap().len();
    // Room for three components.
    let host = bounded(dir.path(), 3 * size + size / 2);
    assert_eq!([1, 2].map(|number| load(&host, number)), [Origin::Compiled; 2]);
    compiled(dir.path()).iter().for_each(|path| age(path, 2));
    assert_eq!([0, 2].map(|number| load(&host, number)), [Origin::Cached; 2]);
    assert_eq!(load(&host, 3), Origin::Compiled);
    assert_eq!(compiled(dir.path()).len(), 3);
    assert_eq!([0, 2, 3].map(|number| load(&host, number)), [Origin::Cached; 3]);
    assert_eq!(load(&host, 1), Origin::Compiled, "it was used longest ago");
    assert!(host.sandbox.take_warnings().is_empty());
}

#[test]
fn what_was_just_compiled_stays_even_where_there_is_no_room() {
    let dir = folder();
    for number in 0..3 {
        let host = bounded(dir.path(), 0);
        assert_eq!(host.plugin(&numbered(number), &[Role::Leaf], true).origin(), Origin::Compiled);
        assert_eq!(host.plugin(&numbered(number), &[Role::Leaf], true).origin(), Origin::Cached);
        assert_eq!(compiled(dir.path()).len(), 1);
    }
    // Nor does it count as the oldest if the clock was set back.
    age(&compiled(dir.path())[0], 0);
    File::open(&compiled(dir.path())[0]).unwrap().set_modified(SystemTime::now() + Duration::from_secs(7200)).unwrap();
    let host = bounded(dir.path(), 1);
    host.plugin(&numbered(3), &[Role::Leaf], true);
    assert_eq!(host.plugin(&numbered(3), &[Role::Leaf], true).origin(), Origin::Cached);
}

#[test]
fn files_that_were_never_finished_are_removed_and_others_left_alone() {
    let dir = folder();
    let new = |name: &str, hours| {
        fs::write(dir.path().join(name), "half").unwrap();
        age(&dir.path().join(name), hours);
    };
    new(".new-killed", 2);
    new(".new-running", 0);
    new("not-ours", 48);
    load(dir.path(), true);
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.retain(|name| !name.to_string_lossy().ends_with(".cwasm"));
    names.sort();
    assert_eq!(names, [".new-running", "not-ours"]);
}

#[test]
fn many_processes_may_evict_at_once() {
    let dir = folder();
    // Room for two of the eight components that four hosts, in place of processes, load in
    // different orders. Each host works whatever is evicted.
    load(dir.path(), true);
    let size = fs::metadata(&compiled(dir.path())[0]).unwrap().len();
    std::thread::scope(|scope| {
        for process in 0..4 {
            let path = dir.path();
            scope.spawn(move || {
                let host = bounded(path, 2 * size + size / 2);
                for round in 0..24 {
                    host.plugin(&numbered((round * (process * 2 + 1)) % 8), &[Role::Leaf], true);
                }
                assert_eq!(host.sandbox.take_warnings(), [""; 0]);
            });
        }
    });
    // The last host to compile has seen the files of all others, or they have seen its file.
    assert!((1..=3).contains(&compiled(dir.path()).len()), "{:?}", compiled(dir.path()));
}

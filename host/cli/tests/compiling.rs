//! Compilation limits: memory, processor time and wall time are bounded for any component, and
//! other work goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

#[path = "kit/mod.rs"]
mod kit;
#[path = "machines/server.rs"]
mod server;

use std::fs;
use std::path::Path;

use kit::{Folder, Frond, hostile, plugin};
use server::Server;

const APP: &str =
    "[leaf]\ncomponent = \"leaf.wasm\"\n\n[merge]\ncomponent = \"leaf.wasm\"\n\n[source]\nkind = \"query\"\n";

/// Returns an app whose leaf counts words, with an additional module that is costly to compile.
fn costly(functions: usize, loops: usize, locals: usize) -> Folder {
    let folder = Folder::new();
    let component = fs::read(plugin("wordcount")).unwrap();
    folder.write("app/leaf.wasm", hostile::costly(&component, functions, loops, locals));
    folder.write("app/frond.toml", APP);
    folder
}

/// Returns an app whose compilation takes a minute of processor time and 0.4 GB without limits,
/// with no function beyond the bounds.
fn slow() -> Folder {
    costly(1000, 800, 200)
}

fn inspect(folder: &Folder) -> Frond {
    folder.frond("inspect app").env("FROND_CACHE", folder.path("cache"))
}

/// Returns the files in the cache with this ending.
fn cached(folder: &Folder, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder.path("cache")).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn what_is_known_to_be_too_dear_is_refused_before_it_is_compiled() {
    let folder = costly(1, 50_000, 1000);
    let ended = inspect(&folder).run();
    assert!(ended.out().contains("1000 locals and 100000 blocks"), "{}{}", ended.out(), ended.err());
    let ended = folder.frond("query app {}").run().expect(64);
    assert!(ended.err().contains("cannot be compiled: a function at byte"), "{}", ended.err());
}

#[test]
fn more_memory_than_a_compilation_may_take_is_refused_and_remembered_until_it_may_take_more() {
    let folder = costly(1, 2400, 1000);
    let little = || inspect(&folder).env("FROND_COMPILE_MEMORY", "256MiB");
    let ended = little().run();
    let text = "takes more than 256 MiB of memory";
    assert!(
        ended.out().contains(text) && ended.out().contains("FROND_COMPILE_MEMORY"),
        "{}{}",
        ended.out(),
        ended.err()
    );
    assert!(cached(&folder, ".cwasm").is_empty());
    // A changed text in the cache shows that the second refusal comes from there.
    let refusal = &cached(&folder, ".refused")[0];
    fs::write(
        refusal,
        fs::read_to_string(refusal).unwrap().replace("compiling it takes", "as is known, compiling it takes"),
    )
    .unwrap();
    let again = little().run();
    assert!(again.out().contains("as is known, compiling it takes"), "{}{}", again.out(), again.err());
    let ended = inspect(&folder).run().expect(0);
    assert!(!ended.out().contains("as is known"), "{}", ended.out());
    assert_eq!(cached(&folder, ".cwasm").len(), 1);
}

#[test]
fn more_processor_time_than_a_compilation_may_take_is_refused() {
    let ended = inspect(&slow()).env("FROND_COMPILE_CPU", "1s").run();
    let text = "takes more than 1s of processor time";
    assert!(ended.out().contains(text) && ended.out().contains("FROND_COMPILE_CPU"), "{}{}", ended.out(), ended.err());
}

#[test]
fn a_compilation_that_is_out_of_wall_time_is_refused_and_tried_again() {
    let folder = slow();
    let ended = inspect(&folder).env("FROND_COMPILE_TIME", "1s").run();
    assert!(ended.out().contains("took longer than 1s"), "{}{}", ended.out(), ended.err());
    assert!(cached(&folder, ".refused").is_empty());
}

#[test]
fn limits_that_are_none_are_refused_by_name() {
    let ended = inspect(&costly(1, 1, 1)).env("FROND_COMPILE_MEMORY", "lots").run().expect(64);
    assert!(ended.err().contains("the environment variable FROND_COMPILE_MEMORY cannot be used"), "{}", ended.err());
}

#[test]
fn a_component_that_is_compiled_for_long_keeps_no_other_app_waiting_and_no_server_from_ending() {
    let folder = slow();
    folder.write("apps/app/frond.toml", APP);
    fs::copy(plugin("wordcount"), folder.path("apps/app/leaf.wasm")).unwrap();
    let serve = folder.frond("serve apps --listen 127.0.0.1:0").env("FROND_CACHE", folder.path("cache"));
    let server = Server::by(serve);
    fs::rename(folder.path("app"), folder.path("apps/slow")).unwrap();
    let compiler = child_of(server.running.id());
    assert_eq!(server.ask("POST", "/v1/apps/app/query", "{\"query\":{},\"partitions\":[]}").0, 200);
    server.end();
    let gone = || !Path::new(&format!("/proc/{compiler}")).exists();
    while !gone() {
        std::thread::yield_now();
    }
}

/// Returns the first child of a process, once there is one.
fn child_of(parent: u32) -> u32 {
    loop {
        for task in fs::read_dir(format!("/proc/{parent}/task")).unwrap().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            if let Some(child) = children.split_whitespace().next() {
                return child.parse().unwrap();
            }
        }
        std::thread::yield_now();
    }
}

//! `frond test --watch`: a run for each change, until Ctrl-C.

use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use rustix::fs::inotify;

use crate::kit::{Running, can_build, plugin, root};
use crate::{Folder, faulty, frond};

const WAITS: &str = "waiting for a change in app (Ctrl-C ends it)";
const CASE: &str = "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n";

/// Saves a file by an atomic rename, as editors do, so that no half-written file is tested.
fn save(folder: &Folder, name: &str, text: &str) {
    let new = folder.write("new", text);
    std::fs::rename(new, folder.path(name)).unwrap();
}

fn watch(folder: &Folder) -> Running {
    frond(["test", "app", "--watch", "--no-laws"]).dir(folder.dir()).start()
}

/// Returns the last line of each run.
fn sums(out: &str) -> Vec<&str> {
    out.lines().filter_map(|line| line.split_once("   in ")).map(|(sums, _)| sums).collect()
}

#[test]
fn a_changed_case_is_tested_again_and_the_last_run_is_the_exit_code() {
    let folder = faulty();
    folder.write("app/cases/one.toml", CASE);
    let mut running = watch(&folder);
    running.wait_for(WAITS);
    save(&folder, "app/cases/one.toml", &CASE.replace("count = 1", "count = 2"));
    running.wait_for(WAITS).interrupt();
    let ended = running.end().expect(1);
    assert_eq!(sums(&ended.out()), ["1 passed, 0 failed", "0 passed, 1 failed"]);
}

#[test]
fn a_changed_component_is_tested_too_and_what_does_not_fit_ends_nothing() {
    let folder = faulty();
    folder.write("app/cases/one.toml", CASE);
    let mut running = watch(&folder);
    running.wait_for(WAITS);
    save(&folder, "app/faulty.wasm", "not wasm");
    running.wait_for("is not WebAssembly").wait_for(WAITS);
    folder.link_again("faulty");
    running.wait_for(WAITS).interrupt();
    let ended = running.end().expect(0);
    assert_eq!(sums(&ended.out()), ["1 passed, 0 failed"; 2]);
}

#[test]
fn an_interrupt_in_the_midst_of_a_run_ends_it() {
    let folder = faulty();
    // The build runs as long as the manifest exists. Ctrl-C would end the build too; a signal to
    // one process does not.
    let build = "echo building >&2; exec >/dev/null 2>&1; while [ -e frond.toml ]; do sleep 1; done";
    folder.write("app/frond.toml", format!("[leaf]\ncomponent = \"faulty.wasm\"\nbuild = \"{build}\"\n"));
    let mut running = frond(["test", "app", "--watch", "--build"]).dir(folder.dir()).start();
    running.wait_for("building").interrupt();
    running.end().expect(130);
}

/// Saves a file with the same content, and waits until it has been read: then earlier changes have
/// been seen too, and lead to no further run.
fn look(folder: &Folder, name: &str) {
    let same = folder.write("same", fs::read(folder.path(name)).unwrap());
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, &same, inotify::WatchFlags::CLOSE_NOWRITE).unwrap();
    fs::rename(same, folder.path(name)).unwrap();
    let (send, read) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 512];
        let _ = send.send(inotify::Reader::new(watch, &mut buffer).next().is_ok());
    });
    assert_eq!(read.recv_timeout(Duration::from_secs(120)), Ok(true), "nobody looks at {name}");
}

#[test]
fn a_build_that_writes_another_file_too_comes_to_rest() {
    let folder = faulty();
    symlink(plugin("faulty"), folder.path("built.wasm")).unwrap();
    // Each build writes its source to a file outside of the watched folder.
    let build = "cat source.txt >>../builds; cp ../built.wasm leaf.wasm; cat ../builds >built-at.txt";
    folder.write("app/frond.toml", format!("[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"{build}\"\n"));
    folder.write("app/source.txt", "first\n");
    folder.write("app/cases/one.toml", CASE);
    let mut running = frond(["test", "app", "--watch", "--build", "--no-laws"]).dir(folder.dir()).start();
    // A built file counts as a source until it has changed during three runs in a row.
    running.wait_for("/app/built-at.txt` changes during each run").wait_for(WAITS);
    for source in ["second\n", "third\n"] {
        look(&folder, "app/cases/one.toml");
        save(&folder, "app/source.txt", source);
        running.wait_for(WAITS);
    }
    look(&folder, "app/cases/one.toml");
    running.interrupt();
    running.end().expect(0);
    assert_eq!(fs::read_to_string(folder.path("builds")).unwrap(), "first\nfirst\nfirst\nsecond\nthird\n");
}

#[test]
fn a_plugin_in_c_is_built_once_for_each_change() {
    if !can_build("c") {
        return;
    }
    let folder = Folder::new();
    folder.frond("new leaf --lang c --kind leaf").run().expect(0);
    let watch = frond(["test", "leaf", "--watch", "--build", "--no-laws"]).dir(folder.dir());
    let mut running = watch.env("FROND_TOOLS", root().join(".tools")).start();
    let waits = WAITS.replace("app", "leaf");
    running.wait_for(&waits);
    look(&folder, "leaf/README.md");
    let source = fs::read_to_string(folder.path("leaf/leaf.c")).unwrap();
    save(&folder, "leaf/leaf.c", &format!("{source}// Changed.\n"));
    running.wait_for(&waits);
    look(&folder, "leaf/README.md");
    running.interrupt();
    let text = running.end().expect(0).err();
    assert_eq!(text.matches("build.sh: plugin.wasm: ").count(), 2, "{text}");
}

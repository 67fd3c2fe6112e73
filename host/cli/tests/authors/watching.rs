//! `frond test --watch`: again at each change, until Ctrl-C.

use crate::kit::Running;
use crate::{Folder, faulty, frond};

const WAITS: &str = "waiting for a change in app (Ctrl-C ends it)";
const CASE: &str = "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n";

/// Saves as editors do: a file that is only half written is never tested.
fn save(folder: &Folder, name: &str, text: &str) {
    let new = folder.write("new", text);
    std::fs::rename(new, folder.path(name)).unwrap();
}

fn watch(folder: &Folder) -> Running {
    frond(["test", "app", "--watch", "--no-laws"]).dir(folder.dir()).start()
}

/// The last line of each run.
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
    // It is built for as long as the folder is there. Ctrl-C would end the build too; a signal to one process does not.
    let build = "echo building >&2; exec >/dev/null 2>&1; while [ -e frond.toml ]; do sleep 1; done";
    folder.write("app/frond.toml", format!("[leaf]\ncomponent = \"faulty.wasm\"\nbuild = \"{build}\"\n"));
    let mut running = frond(["test", "app", "--watch", "--build"]).dir(folder.dir()).start();
    running.wait_for("building").interrupt();
    running.end().expect(130);
}

//! Builds: the same source gives the same bytes anywhere, builds share their tools, and random
//! numbers are drawn in the call and not in the build.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::{Folder, frond, root};
use tempfile::TempDir;

/// An app that answers with random numbers, one from each source of them. Some are drawn when the
/// module is loaded, which is at the time of the build.
const JAVASCRIPT: &str = r#"
import { encode } from "./text.js";
export const early = Math.random();
export const processPartition = {
  process() { return encode(JSON.stringify([Math.random(), Math.random()])); },
};
export const mergePartials = { merge: (query, partials) => partials[0], finish: (query, merged) => merged };
"#;
const PYTHON: &str = r#"
import json, os, random, secrets, uuid
from wit_world import exports
early = random.random(), os.urandom(8), uuid.uuid4()
class ProcessPartition(exports.ProcessPartition):
    def process(self, query, partition):
        return json.dumps([random.random(), os.urandom(8).hex(), secrets.token_hex(8), str(uuid.uuid4())]).encode()
class MergePartials(exports.MergePartials):
    def merge(self, query, partials):
        return partials[0]
    def finish(self, query, merged, coverage):
        return merged
"#;

/// An app in a folder outside of this repository.
struct AppFolder(TempDir);

impl AppFolder {
    fn new(lang: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.frond(&format!("new app --lang {lang}")).run().expect(0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn frond(&self, args: &str) -> kit::Frond {
        frond(args.split(' ')).dir(self.0.path()).env("FROND_CACHE", self.path("cache"))
    }

    /// Builds the app, and moves the component's bytes out of the folder.
    fn component(&self, app: &str) -> Vec<u8> {
        // Not through the kit, whose timeout is too short for a silent Python build on a busy
        // machine.
        let build = Command::new(env!("CARGO_BIN_EXE_frond"))
            .args(["build", app])
            .current_dir(self.0.path())
            .env("FROND_CACHE", self.path("cache"))
            .env_remove("FROND_TOOLS")
            .output()
            .unwrap();
        assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
        let file = self.path(app).join("plugin.wasm");
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(file).unwrap();
        bytes
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Builds the app, moves its folder with the tools, and builds it again beside other files. Returns
/// the component.
fn built_twice(place: &AppFolder, lang: &str) -> Vec<u8> {
    copy(&root().join(".tools").join(lang), &place.path("app/.tools").join(lang));
    let first = place.component("app");
    fs::create_dir(place.path("elsewhere")).unwrap();
    fs::rename(place.path("app"), place.path("elsewhere/moved")).unwrap();
    fs::write(place.path("elsewhere/moved/notes.txt"), "no source").unwrap();
    let second = place.component("elsewhere/moved");
    let differing = first.iter().zip(&second).filter(|(a, b)| a != b).count();
    assert!(first == second, "{} and {} bytes, {differing} of them differ", first.len(), second.len());
    second
}

/// Returns the component's answer to each query, in an app that is deterministic or not.
fn numbers(component: &[u8], deterministic: bool, queries: &[&str]) -> Vec<Vec<String>> {
    let folder = Folder::new();
    folder.write("app/plugin.wasm", component);
    folder.write(
        "app/frond.toml",
        format!(
            "[leaf]\ncomponent = \"plugin.wasm\"\n[merge]\ncomponent = \"plugin.wasm\"\n\
             [source]\nkind = \"list\"\npartitions = [{{ key = \"a\", data = \"\" }}]\n\
             [limits]\ndeterministic = {deterministic}\n[query]\ndeadline = \"2m\"\n"
        ),
    );
    let asked = |query: &&str| {
        let answer = folder.frond(&format!("query app {query}")).run().expect(0).json();
        answer.as_array().unwrap().iter().map(ToString::to_string).collect()
    };
    queries.iter().map(asked).collect()
}

fn check_randomness(component: &[u8]) {
    let real = numbers(component, false, &["1", "1", "2"]).concat();
    assert_eq!(real.iter().collect::<BTreeSet<_>>().len(), real.len(), "a number came twice: {real:?}");
    let seeded = numbers(component, true, &["1", "1", "2"]);
    assert_eq!(seeded[0], seeded[1]);
    assert!(seeded[0].iter().zip(&seeded[2]).all(|(one, other)| one != other), "{seeded:?}");
}

#[test]
fn javascript_is_the_same_each_time_and_draws_its_numbers_in_the_call() {
    if !kit::can_build("javascript") {
        return;
    }
    let place = AppFolder::new("javascript");
    fs::write(place.path("app/app.js"), JAVASCRIPT).unwrap();
    check_randomness(&built_twice(&place, "javascript"));
}

#[test]
fn python_is_the_same_each_time_and_draws_its_numbers_in_the_call() {
    if !kit::can_build("python") {
        return;
    }
    let place = AppFolder::new("python");
    fs::write(place.path("app/app.py"), PYTHON).unwrap();
    check_randomness(&built_twice(&place, "python"));
}

#[test]
fn c_is_the_same_each_time() {
    if !kit::can_build("c") {
        return;
    }
    built_twice(&AppFolder::new("c"), "c");
}

/// Returns a script that runs in the folder, after `build/tools.sh`, with `$tools` as the tools
/// folder.
fn with_tools(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("set -eu; . {}/plugins/build/tools.sh; {script}", root().display()));
    command.current_dir(folder).env("tools", folder.join("tools")).stderr(Stdio::null());
    command
}

#[test]
fn builds_that_share_their_tools_get_them_once() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("tools")).unwrap();
    let script = "get() { echo got >>log; echo a >\"$1/a\"; sync; echo b >\"$1/ready\"; }\n\
                  obtain thing ready get; cat tools/thing/a tools/thing/ready";
    let all: Vec<_> =
        (0..8).map(|_| with_tools(place.path(), script).stdout(Stdio::piped()).spawn().unwrap()).collect();
    for one in all {
        let output = one.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a\nb\n");
    }
    assert_eq!(fs::read_to_string(place.path().join("log")).unwrap(), "got\n");
}

/// Fake cargo for the build of a plugin in C: it copies the tool, instead of building it for
/// minutes, once the file `go` exists.
const CARGO: &str = "#!/bin/sh
set -eu
echo \"$1\" >>\"$PLACE/log\"
while [ $# -gt 0 ]; do case $1 in --root) root=$2 ;; esac; shift; done
until [ -e \"$PLACE/go\" ] || [ ! -d \"$PLACE\" ]; do sleep 0.1; done
mkdir \"$root/bin\"
cp \"$PLACE/wit-bindgen\" \"$root/bin/\"
";

#[test]
fn plugins_that_are_built_at_once_share_one_folder_of_tools() {
    if !kit::can_build("c") {
        return;
    }
    let place = AppFolder::new("c");
    place.frond("new other --lang c").run().expect(0);
    copy(&root().join(".tools/c"), &place.path("tools/c"));
    let mut fetched = fs::read_dir(place.path("tools/c")).unwrap().map(|entry| entry.unwrap());
    let bindgen = fetched.find(|entry| entry.file_name().to_string_lossy().starts_with("wit-bindgen-")).unwrap();
    fs::rename(bindgen.path().join("bin/wit-bindgen"), place.path("wit-bindgen")).unwrap();
    fs::remove_dir_all(bindgen.path()).unwrap();
    // The build must not take a `wit-bindgen` from `PATH`.
    for (name, text) in [("cargo", CARGO), ("wit-bindgen", "#!/bin/sh\n")] {
        fs::create_dir_all(place.path("bin")).unwrap();
        fs::write(place.path("bin").join(name), text).unwrap();
        fs::set_permissions(place.path("bin").join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    let build = |app: &str| {
        let build = place.frond(&format!("build {app}")).env("PATH", &path).env("PLACE", place.path(""));
        build.env("FROND_TOOLS", place.path("tools")).start()
    };
    let mut first = build("app");
    first.wait_for("building wit-bindgen");
    let mut second = build("other");
    second.wait_for("waiting for another build");
    fs::write(place.path("go"), "").unwrap();
    first.end().expect(0);
    second.end().expect(0);
    assert_eq!(fs::read_to_string(place.path("log")).unwrap(), "install\n");
    let component = |app: &str| fs::read(place.path(app).join("plugin.wasm")).unwrap();
    assert!(component("app") == component("other"));
}

#[test]
fn a_build_in_c_without_clang_names_it_before_any_tool_is_built() {
    let place = tempfile::tempdir().unwrap();
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    // All that the script calls before it fails, but no clang.
    let path = std::env::var_os("PATH").unwrap();
    for name in ["cut", "dirname", "mkdir"] {
        let file = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap();
        std::os::unix::fs::symlink(file, bin.join(name)).unwrap();
    }
    fs::write(bin.join("cargo"), "#!/bin/sh\necho called >\"$PLACE/log\"\n").unwrap();
    fs::set_permissions(bin.join("cargo"), Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("/bin/sh")
        .arg(root().join("plugins/rail-c/build.sh"))
        .arg("leaf")
        .arg(place.path().join("leaf.wasm"))
        .arg("rail_leaf.c")
        .env("PATH", &bin)
        .env("PLACE", place.path())
        .env("FROND_TOOLS", place.path().join("tools"))
        .env_remove("WASI_SDK_PATH")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains("clang 19 or later is missing"), "{error}");
    assert!(!place.path().join("log").exists(), "cargo was called");
}

#[test]
fn tools_of_which_half_was_got_are_got_again() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("tools/thing")).unwrap();
    fs::write(place.path().join("tools/thing/a"), "old").unwrap();
    let script =
        |then: &str| format!("get() {{ echo new >\"$1/a\"; {then}; echo >\"$1/ready\"; }}; obtain thing ready get");
    for broken in ["return 1", "exit 69", "kill -KILL $$"] {
        assert!(!with_tools(place.path(), &script(broken)).status().unwrap().success(), "{broken}");
        assert!(!place.path().join("tools/thing/ready").exists(), "{broken}");
    }
    assert!(with_tools(place.path(), &script(":")).status().unwrap().success());
    assert_eq!(fs::read_to_string(place.path().join("tools/thing/a")).unwrap(), "new\n");
    // Killed builds leave no files.
    let mut left: Vec<_> =
        fs::read_dir(place.path().join("tools")).unwrap().map(|one| one.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["lock", "thing"]);
}

#[test]
fn the_folder_of_the_tools_is_named_from_where_the_person_is() {
    let folder = Folder::with_app("wordcount", "[source]\nkind = \"stdin\"");
    let toml = fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    let build = "build = 'printf %s \"$FROND_TOOLS\" >tools.txt'\n\n[merge]";
    folder.write("app/frond.toml", toml.replacen("\n[merge]", build, 1));
    folder.frond("build app").env("FROND_TOOLS", "shared/tools").run().expect(0);
    let tools = fs::read_to_string(folder.path("app/tools.txt")).unwrap();
    assert_eq!(Path::new(&tools), folder.path("shared/tools"));
}

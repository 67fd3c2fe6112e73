//! Folders of `frond new`: in each language and of each kind, they build, pass their cases and
//! answer outside of this repository.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::fs;
use std::path::Path;

use kit::{Ended, frond, root};
use tempfile::TempDir;

const ALL: [&str; 3] = ["app", "leaf", "merge"];

/// A folder outside of this repository, with a private cache.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Returns `frond` in the folder, with arguments that are separated by spaces.
    fn frond(&self, args: &str) -> kit::Frond {
        let tools = root().join(".tools");
        frond(args.split(' '))
            .dir(self.0.path())
            .env("FROND_TOOLS", tools)
            .env("FROND_CACHE", self.0.path().join("cache"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Creates, builds and tests a plugin. Returns the outcome of the build.
    fn try_out(&self, name: &str, lang: &str, kind: &str) -> Ended {
        let made = self.frond(&format!("new {name} --lang {lang} --kind {kind}")).run().expect(0);
        assert_eq!(made.out(), "");
        assert!(made.err().starts_with(&format!("made `{name}` in ")), "{}", made.err());
        if lang == "rust" {
            share_target(&self.path(name));
        }
        let built = self.frond(&format!("build {name}")).run().expect(0);
        let tested = self.frond(&format!("test {name}")).run().expect(0);
        let text = tested.out() + &tested.err();
        assert!(text.contains("passed, 0 failed") && !text.contains("BROKEN"), "{text}");
        built
    }

    /// Returns the app's answer with an additional file of 100 MB, more than one partition may
    /// have.
    fn count_in_100_mb(&self, name: &str) -> String {
        let line = "a line of twenty-six bytes\na\n";
        let file = self.path(name).join("data/large.txt");
        fs::write(&file, line.repeat(100_000_000 / line.len())).unwrap();
        let query = r#"{"longer-than": 20}"#;
        let ended = self.frond("query").arg(name).arg(query).args(["--deadline", "5m"]).run().expect(0);
        fs::remove_file(file).unwrap();
        ended.out()
    }

    fn ask(&self, name: &str) -> String {
        self.frond("query").arg(name).arg(r#"{"longer-than": 20}"#).run().expect(0).out()
    }
}

/// Shares the target folder, so that dependencies are compiled once for all kinds and runs.
fn share_target(dir: &Path) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
    fs::create_dir_all(&shared).unwrap();
    std::os::unix::fs::symlink(shared, dir.join("target")).unwrap();
}

fn check(lang: &str, kinds: &[&str]) {
    if !kit::can_build(lang) {
        return;
    }
    let place = Workspace::new();
    for kind in kinds {
        let name = format!("{lang}-{kind}");
        place.try_out(&name, lang, kind);
        if *kind == "app" {
            assert_eq!(place.ask(&name), r#"{"count":3}"#);
            assert_eq!(place.count_in_100_mb(&name), format!("{{\"count\":{}}}", 100_000_000 / 29 + 3));
        }
    }
}

#[test]
fn in_rust() {
    check("rust", &ALL);
}

#[test]
fn in_javascript() {
    check("javascript", &ALL);
}

#[test]
fn in_c() {
    check("c", &ALL);
}

#[test]
fn in_python() {
    // Each kind takes half a minute, so only CI tests all of them.
    check("python", if kit::is_ci() { &ALL } else { &ALL[..1] });
}

#[test]
fn a_leaf_in_one_language_has_its_merge_in_another() {
    if !kit::can_build("c") || !kit::can_build("javascript") {
        return;
    }
    let place = Workspace::new();
    place.try_out("lines", "c", "app");
    place.try_out("sums", "javascript", "merge");
    let file = place.path("lines/frond.toml");
    let toml = fs::read_to_string(&file).unwrap();
    let (leaf, merge) = toml.split_once("[merge]").unwrap();
    let merge = merge.replacen("plugin.wasm", "../sums/plugin.wasm", 1);
    fs::write(file, format!("{leaf}[merge]{merge}")).unwrap();
    assert_eq!(place.ask("lines"), r#"{"count":3}"#);
}

#[test]
fn what_a_toolchain_says_is_passed_on() {
    if !kit::can_build("c") {
        return;
    }
    let place = Workspace::new();
    place.frond("new broken --lang c --kind leaf").run().expect(0);
    fs::write(place.path("broken/leaf.c"), "int main(void) { return nowhere; }\n").unwrap();
    let ended = place.frond("build broken").run().expect(64);
    assert!(ended.err().contains("leaf.c:1:25: error: use of undeclared identifier 'nowhere'"), "{}", ended.err());
}

#[test]
fn what_is_there_is_left_alone() {
    let place = Workspace::new();
    fs::write(place.path("taken"), "mine").unwrap();
    let ended = place.frond("new taken --lang rust").run().expect(64);
    assert_eq!(ended.err(), "error: `taken` exists already\n(choose another name, or remove it first)\n");
    assert_eq!(fs::read_to_string(place.path("taken")).unwrap(), "mine");
}

#[test]
fn a_name_is_a_folder_s_and_a_crate_s() {
    let place = Workspace::new();
    let refused = ["", "-x", "1st", "a/b", "../a", "a.b", "ä", "a\u{1b}[0m"];
    for name in refused.into_iter().chain(["x".repeat(65).as_str()]) {
        let ended = place.frond("new --lang rust --").arg(name).run().expect(64);
        assert!(ended.err().contains("a name "), "{name}: {}", ended.err());
    }
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 0);
}

#[test]
fn the_doctor_names_what_is_missing_and_how_to_get_it() {
    let place = Workspace::new();
    let ended = place.frond("doctor").env("PATH", "/nowhere").run().expect(1);
    for text in
        ["rust ", "not ready", "cargo ", "missing: install Rust through rustup", "rustup target add wasm32-wasip2"]
    {
        assert!(ended.out().contains(text), "{text}: {}", ended.out());
    }
    let json = place.frond("doctor --lang python --format json").env("PATH", "/nowhere").run().expect(1).json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["languages"].as_array().unwrap().len(), 1);
    assert_eq!(json["languages"][0]["language"], "python");
    assert_eq!(json["languages"][0]["ready"], false);
    assert_eq!(json["languages"][0]["checks"][0]["name"], "python3");
    let ended = place.frond("doctor --lang python").env("FROND_TOOLS", "/dev/null/tools").run().expect(1);
    assert!(ended.out().contains("`/dev/null/tools`: not a directory: does not work"), "{}", ended.out());
    let cores = json["machine"]["cores"].as_u64().unwrap();
    assert!(cores > 0);
    assert_eq!(json["machine"]["waiting"], cores * 256);
    assert_eq!(json["machine"]["cache"]["components"], 0);
}

//! Consistency of generated folders with this repository.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use toml::{Table, Value};

use super::{scaffold, sdk};
use crate::args::{Kind, Language};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn made(lang: Language, kind: Kind) -> Vec<scaffold::File> {
    scaffold::files("lines", lang, kind)
}

fn every() -> impl Iterator<Item = (Language, Kind)> {
    Language::ALL.into_iter().flat_map(|lang| Kind::value_variants().iter().map(move |kind| (lang, *kind)))
}

#[test]
fn nothing_is_left_to_fill_in() {
    for (lang, kind) in every() {
        for file in made(lang, kind) {
            assert!(!file.text.contains("{{"), "{} in {lang}", file.path.display());
        }
    }
}

#[test]
fn no_file_is_written_twice() {
    for (lang, kind) in every() {
        let files = made(lang, kind);
        let paths: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
        assert_eq!(paths.len(), files.len(), "{lang} {kind:?}");
    }
}

/// Returns the files below `folder`, except tests, relative to `from`.
fn files_in(folder: &Path, from: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| {
        if path.is_dir() {
            files_in(&path, from)
        } else {
            vec![path.strip_prefix(from).unwrap().to_str().unwrap().to_owned()]
        }
    };
    entries.filter(|path| !path.ends_with("tests.rs")).flat_map(named).collect()
}

#[test]
fn the_crate_for_plugins_is_there_whole() {
    let sdk = root().join("plugins/sdk");
    let expected: BTreeSet<_> = ["src", "wit"].iter().flat_map(|folder| files_in(&sdk.join(folder), &sdk)).collect();
    assert_eq!(sdk::SOURCES.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(), expected);
    for (path, text) in sdk::files() {
        for own in ["README", "mod tests", "../../"] {
            assert!(!text.contains(own), "{path} still has `{own}`");
        }
    }
}

/// Returns the versions and features of `dependencies`, except path dependencies, which only this
/// repository can resolve.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let table = manifest["dependencies"].as_table().unwrap().clone();
    table.into_iter().filter(|(_, value)| value.get("path").is_none()).collect()
}

#[test]
fn its_dependencies_are_those_of_this_repository() {
    let workspace: Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let known = &workspace["workspace"]["dependencies"];
    for file in made(Language::Rust, Kind::App).iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        for (name, found) in dependencies(&file.text.parse().unwrap()) {
            assert_eq!(found["version"], known[&name]["version"], "{name} in {}", file.path.display());
            if file.path.starts_with("frond-plugin") {
                assert_eq!(found, known[&name], "{name}");
            }
        }
    }
}

#[test]
fn the_example_of_frond_toml_names_the_component_that_its_build_writes() {
    let docs = include_str!("../../../docs/frond-toml.md");
    let (_, example) = docs.split_once("```toml\n").unwrap();
    let example: Table = example.split_once("```").unwrap().0.parse().unwrap();
    let files = made(Language::Rust, Kind::App);
    let app: Table = files.iter().find(|file| file.path.ends_with("frond.toml")).unwrap().text.parse().unwrap();
    assert_eq!(example["leaf"]["build"], app["leaf"]["build"]);
    for role in ["leaf", "merge"] {
        assert_eq!(example[role]["component"], app[role]["component"], "{role}");
    }
}

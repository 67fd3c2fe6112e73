//! Random good and bad changes of an app, with the stored state on disk.
//! The serving version is always the last good one, and everything that a rollback needs is stored.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::state::{Kind, State};

const HISTORY: usize = 3;

/// A random operation. Contents above `GOOD` fail the checks.
#[derive(Clone, Debug)]
enum Step {
    Folder(u8, u8),
    Upload(u8),
    Delete,
    Rollback,
    Restart,
    Other(u8),
}

const GOOD: u8 = 5;

fn step() -> impl Strategy<Value = Step> {
    let content = || 0..GOOD + 2;
    prop_oneof![
        4 => (0..2_u8, content()).prop_map(|(manifest, leaf)| Step::Folder(manifest, leaf)),
        4 => content().prop_map(Step::Upload),
        2 => Just(Step::Delete),
        3 => Just(Step::Rollback),
        1 => Just(Step::Restart),
        1 => (0..GOOD).prop_map(Step::Other),
    ]
}

/// An app as the reconciler would manage it, without anything that runs.
struct World {
    state: State,
    history: ReleaseHistory,
    other: ReleaseHistory,
    folder: (u8, u8),
}

fn text(kind: &str, content: u8) -> Vec<u8> {
    format!("{kind} {content}").into_bytes()
}

fn leaf(content: u8) -> Digest {
    Digest::of(&text("leaf", content))
}

fn is_good(digest: Digest) -> bool {
    (0..GOOD).any(|content| leaf(content) == digest)
}

impl World {
    fn open(dir: &Path, folder: (u8, u8)) -> Self {
        let state = State::open(dir).unwrap();
        let history = |app| state.artifacts.history(app).unwrap().unwrap_or_else(|| ReleaseHistory::new(app));
        Self { history: history("app"), other: history("other"), folder, state }
    }

    fn wanted(&self, uploads: Uploads) -> Identity {
        let (manifest, content) = self.folder;
        let manifest = Digest::of(&text("manifest", manifest));
        Identity { manifest, leaf: uploads.leaf.unwrap_or(leaf(content)), merge: leaf(0), split: None }
    }

    /// Serves the version that folder and `uploads` make, if it passes.
    fn change(&mut self, uploads: Uploads, uploaded: Option<u8>) {
        let wanted = self.wanted(uploads);
        if !is_good(wanted.leaf) {
            return;
        }
        let (manifest, file) = self.folder;
        self.state.store(Kind::Manifest, &wanted.manifest, &text("manifest", manifest)).unwrap();
        for content in [0, file].into_iter().chain(uploaded) {
            self.state.store(Kind::Component, &leaf(content), &text("leaf", content)).unwrap();
        }
        let held = |digest, uploaded| VersionComponent { digest, bytes: 6, uploaded };
        let parts = VersionComponents {
            leaf: held(wanted.leaf, uploads.leaf.is_some()),
            merge: held(wanted.merge, false),
            split: None,
        };
        let fresh = NewRelease { manifest: wanted.manifest, parts, cases: String::new(), canary: String::new() };
        self.history.serve(fresh, uploads, 1, HISTORY);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Folder(manifest, content) => {
                self.folder = (*manifest, *content);
                let uploads = self.history.uploads();
                match self.history.decide(&self.wanted(uploads)) {
                    Decision::Serves => self.history.settle(),
                    Decision::RolledBack => {}
                    Decision::Check => self.change(uploads, None),
                }
            }
            Step::Upload(content) => {
                let uploads = self.history.uploads().with(Role::Leaf, Some(leaf(*content)));
                self.change(uploads, Some(*content));
            }
            Step::Delete => self.change(self.history.uploads().with(Role::Leaf, None), None),
            Step::Rollback => {
                if let Some(before) = self.history.before().cloned() {
                    let wanted = self.wanted(before.parts.uploads());
                    self.history.roll_back(Some(wanted), 2);
                    assert_eq!(self.history.current().unwrap().identity(), before.identity());
                }
            }
            Step::Other(content) => {
                self.state.store(Kind::Component, &leaf(*content), &text("leaf", *content)).unwrap();
                let held = VersionComponent { digest: leaf(*content), bytes: 6, uploaded: false };
                let parts = VersionComponents { leaf: held, merge: held, split: None };
                let manifest = Digest::of(b"other");
                self.state.store(Kind::Manifest, &manifest, b"other").unwrap();
                let fresh = NewRelease { manifest, parts, cases: String::new(), canary: String::new() };
                self.other.serve(fresh, Uploads::default(), 1, 1);
                self.state.keep(&self.other).unwrap();
            }
            Step::Restart => {}
        }
        self.state.keep(&self.history).unwrap();
        self.state.collect(["app", "other"].into_iter()).unwrap();
    }

    /// Checks that the stored files are exactly the needed ones.
    fn check_disk(&self, dir: &Path) {
        let needed: BTreeSet<Digest> = self.history.needs().chain(self.other.needs()).collect();
        let kept: BTreeSet<Digest> = ["components", "manifests"]
            .into_iter()
            .flat_map(|folder| fs::read_dir(dir.join(folder)).unwrap())
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(kept, needed);
        for entry in self.history.versions() {
            self.state.artifacts.load(Kind::Manifest, &entry.manifest).unwrap();
            self.state.artifacts.load(Kind::Component, &entry.parts.leaf.digest).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_app_is_never_without_its_last_good_version(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        let mut world = World::open(&dir, (0, 0));
        let mut last = None;
        for step in &steps {
            if matches!(step, Step::Restart) {
                let history = world.history.clone();
                let folder = world.folder;
                drop(world);
                world = World::open(&dir, folder);
                prop_assert!(world.history == history || history.current().is_none());
            }
            world.take(step);
            let number = world.history.current().map(|one| one.number);
            prop_assert!(last.is_none() || number.is_some(), "it was lost by {:?}", step);
            last = number;
            if let Some(current) = world.history.current() {
                prop_assert!(is_good(current.identity().leaf));
            }
            let numbers: Vec<u64> = world.history.versions().map(|one| one.number).collect();
            prop_assert!(numbers.len() <= HISTORY && numbers.is_sorted_by(|newer, older| newer > older));
            world.check_disk(&dir);
        }
    }
}

#[test]
fn a_digest_is_read_only_as_it_is_written() {
    let digest = Digest::of(b"x");
    assert_eq!(digest.to_string().parse(), Ok(digest));
    let upper = digest.to_string().to_uppercase();
    for wrong in ["", "..", "../../etc", upper.as_str(), &"é".repeat(32), &"0".repeat(63), &"0".repeat(65)] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}

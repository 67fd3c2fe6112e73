//! Random changes of an app: once it has a good version, it always has one that answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use frond_deploy::{Origin, Version};
use frond_run::Role;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::kit::{Apps, PI, Served, core_module, digest, garbage, marked};

/// A random operation on an app.
#[derive(Clone, Debug)]
enum Step {
    File(Role, u8),
    Put(Role, u8),
    Delete(Role),
    Manifest(bool, u8),
    Case(bool),
    Rollback,
    Restart,
}

/// Components below this number are good, the others are not.
const GOOD: u8 = 3;

fn component(number: u8) -> Bytes {
    match number {
        0..GOOD => marked("pi", number),
        GOOD => garbage(),
        _ => core_module(),
    }
}

fn manifest(good: bool, number: u8) -> String {
    let text = PI.replace("20s", &format!("{}s", 20 + number));
    if good { text } else { text.replace("kind", "knd") }
}

fn step() -> impl Strategy<Value = Step> {
    let role = || prop_oneof![Just(Role::Leaf), Just(Role::Merge)];
    prop_oneof![
        3 => (role(), 0..GOOD + 2).prop_map(|(role, number)| Step::File(role, number)),
        3 => (role(), 0..GOOD + 2).prop_map(|(role, number)| Step::Put(role, number)),
        1 => role().prop_map(Step::Delete),
        2 => (any::<bool>(), 0..2_u8).prop_map(|(good, number)| Step::Manifest(good, number)),
        1 => any::<bool>().prop_map(Step::Case),
        2 => Just(Step::Rollback),
        1 => Just(Step::Restart),
    ]
}

/// The expected state.
#[derive(Clone, Default)]
struct Model {
    files: BTreeMap<&'static str, u8>,
    uploads: BTreeMap<&'static str, u8>,
    manifest: (bool, u8),
    case: bool,
    /// The serving version: manifest, leaf, merge.
    serving: Option<(u8, u8, u8)>,
    held_back: Option<(u8, u8, u8)>,
}

fn name(role: Role) -> &'static str {
    if role == Role::Leaf { "leaf" } else { "merge" }
}

impl Model {
    fn wanted(&self) -> Option<(u8, u8, u8)> {
        let of = |role| *self.uploads.get(role).unwrap_or(&self.files[role]);
        self.manifest.0.then(|| (self.manifest.1, of("leaf"), of("merge")))
    }

    fn passes(&self) -> bool {
        let does = |(_, leaf, merge)| leaf < GOOD && merge < GOOD && self.case;
        self.wanted().is_some_and(does)
    }

    /// Models the check of the folder.
    fn look(&mut self) {
        if self.wanted().is_some() && self.wanted() == self.serving {
            self.held_back = None;
        } else if self.passes() && self.wanted() != self.held_back {
            (self.serving, self.held_back) = (self.wanted(), None);
        }
    }
}

async fn take(model: &mut Model, step: &Step, apps: &Apps, served: Served) -> Served {
    match step {
        Step::File(role, number) => {
            apps.write(&format!("pi/{}.wasm", name(*role)), &component(*number));
            model.files.insert(name(*role), *number);
        }
        Step::Manifest(good, number) => {
            apps.write("pi/frond.toml", manifest(*good, *number).as_bytes());
            model.manifest = (*good, *number);
        }
        Step::Case(good) => {
            apps.case("pi/cases/one.toml", if *good { "outcome = \"complete\"" } else { "outcome = \"failed\"" });
            model.case = *good;
        }
        Step::Put(role, number) => {
            let mut after = model.clone();
            after.uploads.insert(name(*role), *number);
            let done = served.registry.put("pi", *role, component(*number)).await;
            if after.passes() || (after.wanted().is_some() && after.wanted() == model.serving) {
                done.unwrap();
                (after.serving, after.held_back) = (after.wanted(), None);
                *model = after;
            } else {
                done.unwrap_err();
            }
        }
        Step::Delete(role) => {
            let done = served.registry.delete("pi", *role).await;
            let mut after = model.clone();
            if after.uploads.remove(name(*role)).is_some() {
                if after.passes() || (after.wanted().is_some() && after.wanted() == model.serving) {
                    done.unwrap();
                    (after.serving, after.held_back) = (after.wanted(), None);
                    *model = after;
                } else {
                    done.unwrap_err();
                }
            }
        }
        Step::Rollback => {
            if let Ok(version) = served.registry.rollback("pi").await {
                rolled_back(model, &version);
            }
        }
        Step::Restart => {
            served.close().await;
            return apps.serve_unwatched().await;
        }
    }
    served
}

/// Models a rollback: the restored version, and the version that is held back.
fn rolled_back(model: &mut Model, version: &Version) {
    let number = |role| {
        let found = version.digest(role).unwrap();
        (0..GOOD).find(|number| digest(&component(*number)) == found).expect("a good component")
    };
    let leaf = number(Role::Leaf);
    let merge = number(Role::Merge);
    let manifest = version.wired.app.deadline.as_secs() as u8 - 20;
    model.uploads.clear();
    for (role, number, part) in [("leaf", leaf, &version.view.leaf), ("merge", merge, &version.view.merge)] {
        if part.origin == Origin::Upload {
            model.uploads.insert(role, number);
        }
    }
    model.serving = Some((manifest, leaf, merge));
    model.held_back = model.wanted().filter(|wanted| Some(*wanted) != model.serving);
}

async fn check(steps: &[Step]) -> TestCaseResult {
    let apps = Apps::with_pi();
    apps.write("pi/leaf.wasm", &component(0));
    apps.write("pi/merge.wasm", &component(0));
    let mut model = Model { case: true, manifest: (true, 0), serving: Some((0, 0, 0)), ..Model::default() };
    model.files.extend([("leaf", 0), ("merge", 0)]);
    let mut served = apps.serve_unwatched().await;
    for step in steps {
        let before = (served.current("pi").number, model.serving);
        served = take(&mut model, step, &apps, served).await;
        served.look().await;
        model.look();

        let version = served.current("pi");
        let (manifest, leaf, merge) = model.serving.unwrap();
        prop_assert_eq!(version.wired.app.deadline.as_secs(), u64::from(20 + manifest), "after {:?}", step);
        prop_assert_eq!(version.digest(Role::Leaf), Some(digest(&component(leaf))), "after {:?}", step);
        prop_assert_eq!(version.digest(Role::Merge), Some(digest(&component(merge))), "after {:?}", step);
        if before.1 == model.serving {
            prop_assert_eq!(version.number, before.0, "nothing changed, but the number, after {:?}", step);
        }
        prop_assert!(!served.answer("pi").await.is_empty());
    }
    served.close().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_app_always_has_its_last_good_version(steps in proptest::collection::vec(step(), 1..14)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check(&steps))?;
    }
}

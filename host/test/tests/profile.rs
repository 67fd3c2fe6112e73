//! Profiles of a real guest's leaf and merge, which must name its functions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use frond_app::{AppLimits, Package};
use frond_root::call::{InstanceMode, Limits};
use frond_root::{Partition, PartitionKey};
use frond_sandbox::profile::{Profile, ProfileError, Sampling};
use frond_sandbox::{Guests, Leaf, Metering, Plugin, Role, Sandbox, Settings, Trials};
use frond_test::profile::{hottest, speedscope};
use serde_json::Value;

const QUERY: &[u8] = br#"{"top":5}"#;
const TIME: Duration = Duration::from_secs(60);

/// The `wordcount` plugin, loaded as leaf and merge.
struct Rig {
    leaf: Leaf,
    merge: Guests,
    trials: Trials,
    _sandbox: Sandbox,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rig(fuel: u64) -> Rig {
    let path = root().join("target/plugins/wasm32-wasip2/guest/wordcount.wasm");
    let wasm = fs::read(path).unwrap_or_else(|error| panic!("run `make plugins`: {error}"));
    let of = AppLimits::default();
    let limits = Limits { fuel, ..of.merge };
    let sandbox = Sandbox::new(Settings {
        slots: 1,
        waiting: 0,
        limits: vec![limits],
        cache: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")),
        compiler: frond_sandbox::Compiler::in_process(),
    })
    .unwrap();
    let plugin = Plugin::load(&sandbox, &wasm, &[Role::Leaf, Role::Merge], Metering::of(&limits)).unwrap();
    let plugin = std::sync::Arc::new(plugin);
    Rig {
        leaf: Leaf {
            plugin: plugin.clone(),
            limits,
            deterministic: true,
            grants: std::sync::Arc::default(),
            instance: InstanceMode::Fresh,
        },
        merge: Guests::new(sandbox.clock(), plugin, limits),
        trials: Trials::new(sandbox.clock()),
        _sandbox: sandbox,
    }
}

/// Real text of several megabytes, that no other change alters: where samples fall depends on it.
fn text() -> Bytes {
    let data = root().join("examples/wordcount/data");
    let of = |name: &str| fs::read_to_string(data.join(name)).unwrap();
    let all = ["sonnet-01.txt", "sonnet-18.txt", "sonnet-116.txt", "wandrers-nachtlied.txt"];
    all.map(of).concat().repeat(4000).into()
}

impl Rig {
    fn call(&self) -> frond_sandbox::Trial {
        let partition = Partition::new(PartitionKey::from("text"), text());
        self.trials.leaf(&self.leaf, &Bytes::from_static(QUERY), (0, partition), TIME).unwrap()
    }

    fn profile(&self, sampling: Sampling, runs: usize) -> Profile {
        let calls = || {
            for _ in 0..runs {
                self.call().result.unwrap();
            }
        };
        self.trials.profiled("wordcount", sampling, calls).1.unwrap()
    }
}

/// Asserts the form that the Firefox Profiler documents: tables whose columns are equally long.
fn check(profile: &Profile) {
    let found: Value = serde_json::from_slice(&profile.firefox).unwrap();
    assert_eq!(found["meta"]["preprocessedProfileVersion"], 55);
    assert_eq!(found["meta"]["sampleUnits"]["threadCPUDelta"], "µs");
    let thread = &found["threads"][0];
    assert_eq!(thread["samples"]["length"], profile.samples);
    for (table, columns) in [
        ("samples", ["stack", "weight", "threadCPUDelta"].as_slice()),
        ("stackTable", &["prefix", "frame"]),
        ("frameTable", &["func", "address"]),
        ("funcTable", &["name", "resource"]),
    ] {
        for column in columns {
            let length = thread[table][column].as_array().map(|column| column.len() as u64);
            assert_eq!(length, thread[table]["length"].as_u64(), "{table}.{column}");
        }
    }
}

/// Returns each function's own weight.
fn own(profile: &Profile) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for hot in hottest(profile).unwrap() {
        *all.entry(hot.name).or_default() += hot.own;
    }
    all
}

#[test]
fn by_the_clock_it_has_the_guests_functions() {
    let rig = rig(0);
    let profile = rig.profile(Sampling::Clock(Duration::from_millis(1)), 20);
    check(&profile);
    assert!(profile.samples >= 10 && profile.more == 0, "{}", profile.samples);
    let names: Vec<String> = hottest(&profile).unwrap().into_iter().map(|hot| hot.name).collect();
    assert!(names.iter().any(|name| name.contains("wordcount::")), "{names:?}");
    let shown: Value = serde_json::from_slice(&speedscope(&profile, "wordcount").unwrap()).unwrap();
    assert_eq!(shown["profiles"][0]["unit"], "microseconds");
    assert_eq!(shown["profiles"][0]["samples"].as_array().unwrap().len() as u64, profile.samples);
}

#[test]
fn by_fuel_it_is_the_same_each_time() {
    let rig = rig(1_000_000_000);
    let used = rig.call().usage.fuel;
    let once = || rig.profile(Sampling::Fuel(100_000), 1);
    let one = once();
    let two = once();
    check(&one);
    assert_eq!(own(&one), own(&two));
    assert!(own(&one).keys().any(|name| name.contains("wordcount::")), "{:?}", own(&one));
    // The samples cover all fuel except the last part that was used. Each sample covers the fuel up
    // to the first check after its interval.
    let shown: Value = serde_json::from_slice(&speedscope(&one, "wordcount").unwrap()).unwrap();
    let shown = &shown["profiles"][0];
    assert_eq!(shown["unit"], "none");
    let weights: Vec<u64> = shown["weights"].as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect();
    let sum: u64 = weights.iter().sum();
    assert!(sum <= used && used - sum < 120_000, "{sum} of {used}");
    assert!(weights.iter().all(|weight| *weight >= 100_000), "{weights:?}");
    // One instruction that moves much memory is not interrupted, and few move much.
    let longer = weights.iter().filter(|weight| **weight > 103_000).count();
    assert!(longer * 20 <= weights.len(), "{longer} of {}: {weights:?}", weights.len());
    // Sampling does not change the fuel that a call uses.
    let (sampled, _) = rig.trials.profiled("", Sampling::Fuel(100_000), || rig.call().usage.fuel);
    assert_eq!(sampled, used);
}

#[test]
fn a_merge_has_one_too() {
    let rig = rig(1_000_000_000);
    let partial = rig.call().result.unwrap();
    let partials = vec![partial; 64];
    let calls = || rig.trials.merge(&rig.merge, QUERY, &partials, TIME).result.unwrap();
    let (_, profile) = rig.trials.profiled("merge", Sampling::Fuel(10_000), calls);
    let profile = profile.unwrap();
    check(&profile);
    assert!(profile.samples > 10);
    assert!(own(&profile).keys().any(|name| name.contains("merge")), "{:?}", own(&profile));
}

#[test]
fn why_there_is_none() {
    let unmetered = rig(0);
    let of = |rig: &Rig, calls: &dyn Fn()| rig.trials.profiled("", Sampling::Fuel(100_000), calls).1;
    assert_eq!(of(&unmetered, &|| drop(unmetered.call())).unwrap_err(), ProfileError::Unmetered);
    assert_eq!(of(&unmetered, &|| ()).unwrap_err(), ProfileError::NoCall);
    // Calls outside of `profiled` are not sampled.
    unmetered.call().result.unwrap();
}

#[test]
fn a_case_of_an_app_has_one() {
    let app = root().join("examples/wordcount");
    let tester = frond_test::Tester::load(Package::load(&app).unwrap(), &|_| {}).unwrap();
    let case = frond_test::Case::read(&app.join("cases/top-3.toml")).unwrap();
    let profile = tester.profile(&case, Sampling::Fuel(1000), 20).unwrap();
    check(&profile);
    assert!(own(&profile).keys().any(|name| name.contains("wordcount::")), "{:?}", own(&profile));
}

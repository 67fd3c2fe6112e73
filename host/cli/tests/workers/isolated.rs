//! Apps whose leaves must run in worker processes.

use serde_json::Value;

use super::kit::{Folder, frond};

/// A folder with an app of this plugin, whose leaves are isolated.
pub(super) fn app(plugin: &str, isolation: &str, rest: &str) -> Folder {
    let folder = Folder::new();
    folder.link_plugin(plugin);
    let component = format!("component = \"{plugin}.wasm\"");
    let leaf = format!("[leaf]\n{component}\nisolation = {isolation}\n");
    folder.write("app/frond.toml", format!("{leaf}\n[merge]\n{component}\n\n{rest}\n"));
    folder
}

pub(super) const PI: &str = "[source]\nkind = \"range\"\nstart = 0\nend = 3000000\nstep = \"auto\"\n";
const KEYS: &str = "[source]\nkind = \"query\"\n[query]\ndeadline = \"60s\"\nfloor = \"best-effort\"\n";

#[test]
fn isolated_leaves_give_the_answers_of_one_process() {
    let query = r#"{"seed":1}"#;
    let of = |isolation: &str, limits: &str| {
        let folder = app("pi", isolation, &format!("{PI}{limits}"));
        folder.frond("query app").arg(query).args(["--deadline", "100s"]).run().expect(0).out()
    };
    let unmetered = "[limits.leaf]\nfuel = 0\n";
    let alone = of("\"thread\"", "");
    assert_eq!(of("\"process\"", ""), alone, "they count fuel");
    assert_eq!(of("\"process\"", unmetered), alone, "nothing interrupts them");
    assert_eq!(of("{ process = \"require\" }", unmetered), alone);
}

#[test]
fn a_leaf_that_nothing_interrupts_is_killed_at_its_deadline() {
    let limits = "[limits.leaf]\nfuel = 0\ntime = \"300ms\"\n[retry]\nattempts = 1\n";
    let folder = app("faulty", "\"process\"", &format!("{KEYS}{limits}"));
    let keys: Vec<_> = (0..6).map(|at| format!(r#"{{"key":"ok-{at}","data":""}}"#)).collect();
    let query = format!(r#"{{"query":{{}},"partitions":[{{"key":"spin-0","data":""}},{}]}}"#, keys.join(","));
    let ended = folder.frond("query app --slots 2 --format json").arg(&query).run().expect(3);
    let json = ended.json();
    assert_eq!(json["coverage"]["partitions"]["succeeded"], 6, "{json}");
    assert_eq!(json["coverage"]["failures"]["out-of-time"], 1, "{json}");
    // The process that replaces it serves as well.
    let again = folder.frond("query app --slots 1 --format json").arg(&query).run().expect(3);
    assert_eq!(again.json()["coverage"]["partitions"]["succeeded"], 6, "{}", again.err());
}

#[test]
fn the_time_limit_of_a_leaf_does_not_count_its_way_to_a_process() {
    // Each is killed, so the next process has to load the leaf, which takes longer than the limit.
    let limits = "[limits.leaf]\nfuel = 0\ntime = \"15ms\"\n[retry]\nattempts = 1\n";
    let folder = app("faulty", "\"process\"", &format!("{KEYS}{limits}"));
    let keys: Vec<_> = (0..6).map(|at| format!(r#"{{"key":"spin-{at}","data":""}}"#)).collect();
    let query = format!(r#"{{"query":{{}},"partitions":[{}]}}"#, keys.join(","));
    let ended = folder.frond("query app --slots 1 --progress json").arg(&query).run();
    let events = ended.events();
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    let mut ran = Vec::new();
    for end in of("attempt-ended") {
        let is_its = |start: &&Value| start["partition"] == end["partition"] && start["attempt"] == end["attempt"];
        let start = of("attempt-started").find(is_its).unwrap();
        ran.push(end["at"].as_u64().unwrap() - start["at"].as_u64().unwrap());
    }
    // As each begins on the worker's clock, which the root knows within a message.
    assert!(ran.len() == 6 && ran.iter().all(|micros| *micros >= 15_000), "{ran:?}");
}

#[test]
fn settings_that_contradict_isolation_are_refused_with_their_line() {
    let folder = app("faulty", "\"process\"", &format!("{KEYS}[grants]\nenv = [\"HOME\"]\n"));
    let refused = folder.frond("query app {}").run().expect(64);
    assert!(refused.err().contains("app/frond.toml:3") && refused.err().contains("[grants]"), "{}", refused.err());
    for wrong in ["\"cell\"", "{ process = \"maybe\" }", "{ cell = \"require\" }", "7"] {
        let folder = app("faulty", wrong, KEYS);
        let refused = folder.frond("query app {}").run().expect(64);
        assert!(refused.err().contains("process"), "{wrong}: {}", refused.err());
    }
}

#[test]
fn the_doctor_names_the_guards_of_worker_processes() {
    let json = frond(["doctor", "--format", "json"]).run().json();
    let guards: Vec<_> = json["worker_processes"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    for guard in ["landlock", "seccomp", "no-new-privileges", "parent-death"] {
        assert!(guards.iter().any(|name| name == guard), "{guards:?}");
    }
}

//! Laws: counts of checks, small counter-examples, and warnings of queries.

use serde_json::Value;

use crate::{Folder, faulty, frond, test, warm};

fn leaves(folder: &Folder, query: &str, keys: &[&str]) {
    for key in keys {
        let case =
            format!("query = '{query}'\npartition = \"\"\nkey = \"{key}\"\n[expect]\nsnapshot = \"{key}.snap\"\n");
        folder.write(&format!("app/cases/{key}.toml"), case);
    }
    test(folder, "--no-laws --bless");
}

#[test]
fn an_honest_merge_keeps_every_law() {
    let folder = faulty();
    leaves(&folder, "{}", &["a"]);
    folder.write("app/cases/query.toml",
        "query = '{\"query\":{},\"partitions\":[{\"key\":\"ok-1\",\"data\":\"\"},{\"key\":\"ok-2\",\"data\":\"\"},{\"key\":\"ok-3\",\"data\":\"\"}]}'\n\
         [expect]\noutcome = \"complete\"\ncoverage = { planned = 3 }\n");
    let ended = test(&folder, "--format json").expect(0);
    let json = ended.json();
    let laws = json["laws"].as_array().unwrap();
    assert_eq!(laws.len(), 7, "{json}");
    // Its cases have no content that could be cut.
    for law in laws.iter().filter(|law| law["law"] != "cut") {
        assert!(law["checked"].as_u64().unwrap() > 0 && law["broken"].is_null(), "{law}");
    }
}

#[test]
fn a_merge_that_drops_a_partial_is_caught_with_a_small_example() {
    let folder = faulty();
    let query = "{\"merge-fault\":\"lie\"}";
    for key in ["a", "b", "c", "d", "e", "f"] {
        let case = format!(
            "query = '{query}'\npartition = \"\"\nkey = \"{key}\"\n[expect]\njson = {{ count = 1, keys = [\"{key}\"] }}\n"
        );
        folder.write(&format!("app/cases/{key}.toml"), case);
    }
    let ended = test(&folder, "--format json").expect(1);
    let json = ended.json();
    assert_eq!(json["sums"]["failed"], 0, "{json}");
    let broken = |law: &str| {
        let laws = json["laws"].as_array().unwrap();
        laws.iter().find(|one| one["law"] == law).unwrap()["broken"]["what"].as_str().unwrap_or_default().to_owned()
    };
    assert!(broken("commutativity").contains("merge(0, 1)") && broken("commutativity").contains("merge(1, 0)"));
    // Of six partials, the example needs no more than three.
    let grouping = broken("grouping");
    assert!(grouping.matches("is `").count() <= 3, "{grouping}");
    // The result for a component is stored in the cache: a private cache keeps it from other tests.
    let alone = |args: &[&str]| frond(args).dir(folder.dir()).env("FROND_CACHE", folder.path("cache")).run();
    let text = alone(&["test", "app"]).expect(1).out();
    assert!(text.contains("BROKEN  law     identity"), "{text}");

    // A query of these components warns, whatever its text is.
    let ended = alone(&["query", "app", r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#]).expect(0);
    assert!(ended.err().contains("warning: a law of this app's merge or leaf does not hold"), "{}", ended.err());
}

#[test]
fn a_leaf_that_looks_at_the_clock_is_not_deterministic() {
    let folder = faulty();
    let case = "partition = \"\"\nkey = \"clock\"\n[expect]\nmax-fuel = 1_000_000_000\nlog = \"\"\nemitted = 0.5\n";
    folder.write("app/cases/clock.toml", case);
    let ended = test(&folder, "--format json").expect(1);
    let json = ended.json();
    let law = json["laws"].as_array().unwrap().iter().find(|one| one["law"] == "determinism").unwrap().clone();
    assert!(law["broken"]["what"].as_str().unwrap().contains("was called twice on `clock`"), "{law}");
}

#[test]
fn an_ordered_merge_owes_no_commutativity() {
    let folder = faulty();
    let toml = "[leaf]\ncomponent = \"faulty.wasm\"\n[merge]\ncomponent = \"faulty.wasm\"\norder = \"partition\"\n[source]\nkind = \"query\"\n";
    folder.write("app/frond.toml", toml);
    leaves(&folder, "{}", &["a", "b", "c"]);
    let json = test(&folder, "--format json").expect(0).json();
    let names: Vec<&str> = json["laws"].as_array().unwrap().iter().map(|one| one["law"].as_str().unwrap()).collect();
    assert!(!names.contains(&"commutativity") && names.contains(&"associativity"), "{names:?}");
}

#[test]
fn a_merge_that_fails_each_time_keeps_no_law() {
    let folder = faulty();
    for key in ["a", "b", "c"] {
        let case = format!(
            "query = '{{\"merge-fault\":\"unavailable\"}}'\npartition = \"\"\nkey = \"{key}\"\n[expect]\n\
             json = {{ count = 1, keys = [\"{key}\"] }}\n"
        );
        folder.write(&format!("app/cases/{key}.toml"), case);
    }
    // The result for a component is stored in the cache: a private cache keeps it from other tests.
    let alone = |args: &[&str]| frond(args).dir(folder.dir()).env("FROND_CACHE", folder.path("cache")).run();
    let json = alone(&["test", "app", "--format", "json", "--junit", "out.xml"]).expect(0).json();
    let checked = |law: &serde_json::Value| (law["checked"].as_u64().unwrap(), law["failed"].as_u64().unwrap_or(0) > 0);
    let laws = json["laws"].as_array().unwrap();
    for law in laws {
        let expect = match law["law"].as_str().unwrap() {
            "determinism" => (3, false),
            // The cases have no content that could be cut.
            "cut" => (0, false),
            _ => (0, true),
        };
        assert_eq!(checked(law), expect, "{law}");
    }
    assert_eq!(json["sums"]["laws_hold"], 1, "{json}");
    let xml = std::fs::read_to_string(folder.path("out.xml")).unwrap();
    assert_eq!(xml.matches("<skipped").count(), 5, "{xml}");
    let text = alone(&["test", "app"]).expect(0).out();
    let told = "law     commutativity   not checked, every call failed: unavailable: as the query asked";
    assert!(text.contains(told), "{text}");
    // The laws are unchecked, and a query says so.
    let query = r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#;
    let asked = alone(&["query", "app", query, "--format", "json"]).expect(0).json();
    assert_eq!(asked["laws"], "unchecked");
}

/// Runs the laws on leaves of this command, one for each key, and returns the law `warm`.
fn warm_law(command: &str, keys: &[&str], exit: i32) -> Value {
    let reports =
        |key| if command == "served" { format!(", reports = {{ {key} = {{ served = 0 }} }}") } else { String::new() };
    let folder = warm();
    for key in keys {
        let case = format!(
            "query = '{{\"fault\":\"{command}\"}}'\npartition = \"\"\nkey = \"{key}\"\n[expect]\n\
             json = {{ count = 1, keys = [\"{key}\"]{} }}\n",
            reports(key)
        );
        folder.write(&format!("app/cases/{key}.toml"), case);
    }
    let json = test(&folder, "--format json").expect(exit).json();
    assert_eq!(json["sums"]["failed"], 0, "{json}");
    let laws = json["laws"].as_array().unwrap();
    laws.iter().find(|one| one["law"] == "warm").unwrap_or_else(|| panic!("{json}")).clone()
}

#[test]
fn a_leaf_without_a_memory_may_keep_its_instance() {
    let law = warm_law("ok", &["a", "b", "c"], 0);
    assert!(law["checked"].as_u64().unwrap() > 0 && law["broken"].is_null(), "{law}");
    // A leaf's own failure keeps the instance, too.
    let folder = warm();
    for (key, failure) in [("invalid-partition", true), ("ok", false)] {
        let expect = if failure { "failure = \"invalid-partition\"" } else { "json = { count = 1, keys = [\"ok\"] }" };
        folder.write(
            &format!("app/cases/{key}.toml"),
            format!("partition = \"\"\nkey = \"{key}\"\n[expect]\n{expect}\n"),
        );
    }
    let json = test(&folder, "--format json").expect(0).json();
    assert_eq!(json["laws"].as_array().unwrap().len(), 8, "{json}");
}

#[test]
fn a_leaf_that_remembers_is_caught_with_the_shortest_sequence() {
    let keys = ["a", "b", "c", "d", "e", "f"];
    let sequence = |command| {
        let law = warm_law(command, &keys, 1);
        let what = law["broken"]["what"].as_str().unwrap_or_else(|| panic!("{law}")).to_owned();
        let before = what.split_once("in an instance that has served ").unwrap().1.lines().next().unwrap().to_owned();
        before.split(", ").count() + 1
    };
    // It reports how many calls came before.
    assert_eq!(sequence("served"), 2);
    // It fails at its third call.
    assert_eq!(sequence("trap-after:2"), 3);
}

#[test]
fn a_leaf_with_fresh_instances_may_remember() {
    let folder = faulty();
    leaves(&folder, "{\"fault\":\"served\"}", &["a", "b"]);
    let json = test(&folder, "--format json").expect(0).json();
    assert!(json["laws"].as_array().unwrap().iter().all(|one| one["law"] != "warm"), "{json}");
}

/// Runs the laws on a leaf of this command, whose partition has many lines, and returns the law
/// `cut`.
fn cut_law(folder: &Folder, command: &str, exit: i32) -> Value {
    cut_law_of(folder, &format!(r#"{{"fault":"{command}"}}"#), 10..50, exit)
}

/// Runs the laws on the leaf of a query, whose partition has lines with these numbers, and returns
/// the law `cut`.
fn cut_law_of(folder: &Folder, query: &str, numbers: std::ops::Range<u32>, exit: i32) -> Value {
    let lines: Vec<_> = numbers.map(|number| format!("line {number}")).collect();
    let case = format!(
        "query = '{query}'\npartition = \"{}\\n\"\nkey = \"a\"\n[expect]\n\
         json = {{ count = {}, keys = {lines:?} }}\n",
        lines.join("\\n"),
        lines.len()
    );
    folder.write("app/cases/lines.toml", case);
    let json = test(folder, "--format json").expect(exit).json();
    assert_eq!(json["sums"]["failed"], 0, "{json}");
    let laws = json["laws"].as_array().unwrap();
    laws.iter().find(|one| one["law"] == "cut").unwrap_or_else(|| panic!("{json}")).clone()
}

#[test]
fn a_leaf_that_counts_each_line_once_may_be_cut() {
    for folder in [faulty(), warm()] {
        let law = cut_law(&folder, "lines", 0);
        assert!(law["checked"].as_u64().unwrap() > 0 && law["broken"].is_null(), "{law}");
    }
}

#[test]
fn a_leaf_that_asks_for_no_piece_is_never_cut() {
    let folder = faulty();
    let case = "partition = \"a\\nb\\n\"\nkey = \"ok\"\n[expect]\njson = { count = 1, keys = [\"ok\"] }\n";
    folder.write("app/cases/ok.toml", case);
    let json = test(&folder, "--format json").expect(0).json();
    let law = json["laws"].as_array().unwrap().iter().find(|one| one["law"] == "cut").unwrap();
    assert_eq!((law["checked"].as_u64(), law["failed"].as_u64()), (Some(0), None), "{law}");
}

#[test]
fn a_reader_that_keeps_a_wrong_partial_of_a_short_content_is_caught() {
    let folder = faulty();
    let law = cut_law_of(&folder, r#"{"fault":"read-lines-keep-behind"}"#, 10..12, 1);
    let what = law["broken"]["what"].as_str().unwrap_or_else(|| panic!("{law}"));
    assert!(what.contains("killed at byte"), "{what}");
    let content = what.lines().next().unwrap().split_once("in one piece: ").unwrap().1;
    let content: String = serde_json::from_str(content.trim_end_matches('…')).unwrap();
    assert!(content.lines().count() <= 5, "{what}");
}

#[test]
fn kept_partials_that_no_schedule_uses_are_told() {
    for (command, told) in [("read-lines", false), ("read-lines-keep-none", true)] {
        let folder = faulty();
        let law = cut_law_of(&folder, &format!(r#"{{"fault":"{command}"}}"#), 10..12, 0);
        assert!(law["checked"].as_u64().unwrap() > 0 && law["broken"].is_null(), "{law}");
        let note = "kept partials were not checked: the leaf kept none before it was killed";
        assert_eq!(law["notes"].as_array().is_some_and(|notes| notes.contains(&note.into())), told, "{law}");
        assert_eq!(test(&folder, "").expect(0).out().contains("kept partials"), told);
    }
}

#[test]
fn a_call_that_fails_by_chance_breaks_no_law() {
    let query = r#"{"fault":"lines","merge-fault":"unavailable-of-many"}"#;
    let law = cut_law_of(&faulty(), query, 10..50, 0);
    assert!(law["checked"].as_u64().unwrap() > 0 && law["failed"].as_u64().unwrap() > 0, "{law}");
}

#[test]
fn fuel_for_the_whole_is_enough_for_the_law() {
    let folder = faulty();
    let file = folder.path("app/frond.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    folder.write("app/frond.toml", format!("{text}\n[limits.leaf]\nfuel = 1_000_000\n"));
    // This leaf reads all of its content again for each piece.
    let law = cut_law(&folder, "lines", 0);
    assert!(law["checked"].as_u64().unwrap() > 0 && law["failed"].as_u64().unwrap() > 0, "{law}");
    assert!(law["failure"].as_str().unwrap().contains("out-of-fuel"), "{law}");
}

#[test]
fn a_leaf_with_a_mistake_at_its_edges_is_caught_with_few_lines() {
    for (command, places) in [
        ("lines-peek", "cut before byte"),
        ("lines-drop", "cut before byte"),
        ("lines-early", "in pieces that end before byte"),
        ("lines-keep-behind", "killed at byte"),
        ("lines-remember", "cut before byte"),
    ] {
        let folder = if command == "lines-remember" { warm() } else { faulty() };
        let law = cut_law(&folder, command, 1);
        let what = law["broken"]["what"].as_str().unwrap_or_else(|| panic!("{command}: {law}"));
        let content = what.lines().next().unwrap().split_once("in one piece: ").unwrap().1;
        let content: String = serde_json::from_str(content).unwrap();
        assert!(content.lines().count() <= 3, "{command}: {what}");
        let schedule = what.lines().nth(1).unwrap();
        assert!(schedule.contains(places) && !schedule.contains(" and byte"), "{command}: {what}");
        assert!(!law["broken"]["diff"].as_str().unwrap().is_empty(), "{law}");
    }
}

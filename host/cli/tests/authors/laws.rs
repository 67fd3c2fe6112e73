//! Laws: counts of checks, small counter-examples, and warnings of queries.

use crate::{Folder, faulty, frond, test};

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
    assert_eq!(laws.len(), 6, "{json}");
    for law in laws {
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
        let expect = if law["law"] == "determinism" { (3, false) } else { (0, true) };
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

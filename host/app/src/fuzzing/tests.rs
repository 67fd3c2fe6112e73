//! The bodies of the fuzz targets, run on almost valid inputs.

use frond_testkit::almost;
use proptest::prelude::*;

use super::*;

/// Manifests of the examples.
fn manifests() -> Vec<Vec<u8>> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path().join("frond.toml"));
    let mut found: Vec<_> = files.filter_map(|file| std::fs::read(file).ok()).collect();
    found.sort();
    assert!(found.len() >= 5);
    found
}

const QUERIES: [&str; 4] = [
    r#"{"query": {"a": [1, 2.5e3, "x"]}, "partitions": []}"#,
    r#"{"query": null, "partitions": [{"key": "a", "data": "text\n\u00e9", "weight": 3}, {"key": "b", "data": {"x": 1}}]}"#,
    r#"{"partitions": [{"weight": 1, "data": [], "key": "\u0001"}], "query": "\ud83d\ude00"}"#,
    "{\"query\":1,\"partitions\":[{\"key\":\"k\",\"data\":\"\"},{\"key\":\"K\",\"data\":\"\"}]}",
];

#[test]
fn seeds_are_valid() {
    for seed in manifests() {
        Package::read(Path::new("app/frond.toml"), seed).unwrap();
    }
    for seed in QUERIES {
        caller::partitions(seed.as_bytes(), LIMIT).unwrap();
    }
}

#[test]
fn what_is_nested_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a=", "}"), ("[{", "}]"), ("(", ")"), ("\"", "\"")] {
        let nested = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        manifest(nested.as_bytes());
        manifest(format!("name = {nested}").as_bytes());
        manifest(format!("name.{}a = 1", "a.".repeat(100_000)).as_bytes());
        manifest(format!("[{}a]", "a.".repeat(100_000)).as_bytes());
        partitions(nested.as_bytes());
        partitions(format!("{{\"query\":{nested},\"partitions\":[]}}").as_bytes());
        partitions(format!("{{\"query\":1,\"partitions\":[{{\"key\":\"a\",\"data\":{nested}}}]}}").as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_frond_toml_brings_it_down(bytes in almost(manifests())) {
        manifest(&bytes);
    }

    #[test]
    fn no_query_with_partitions_brings_it_down(bytes in almost(QUERIES)) {
        partitions(&bytes);
    }
}

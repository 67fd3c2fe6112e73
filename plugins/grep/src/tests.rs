//! Tests from files to the answer, with and without missing pieces.

use frond_plugin::{Coverage, Failure, Partition, testing};

use crate::{Query, finish, merge, prepare, process};

const COVERAGE: Coverage = Coverage { planned: 100, covered: 100, complete: true };

fn query(json: &str) -> Query {
    serde_json::from_str(json).unwrap()
}

fn leaf(query_json: &str, key: &str, content: &str) -> Result<crate::Partial, Failure> {
    let partition = Partition { key: key.to_owned(), index: 0, data: content.as_bytes().to_vec() };
    let prepared = prepare(query(query_json))?;
    testing::partition(content.as_bytes(), 3, || process(&prepared, partition))
}

fn check(query_json: &str, partitions: &[(&str, &str)], expect: &str) {
    let leaves = partitions.iter().map(|(key, content)| leaf(query_json, key, content).unwrap()).collect();
    let merged = merge(query(query_json), leaves).unwrap();
    let answer = finish(query(query_json), Some(merged), COVERAGE).unwrap();
    assert_eq!(serde_json::to_string(&answer).unwrap(), expect);
}

#[test]
fn matches_are_in_order_and_counted() {
    check(
        r#"{"pattern": "a", "first": 2, "counts": "files"}"#,
        &[("z", "a"), ("m", "b"), ("d", "b\nca\nb\na\n")],
        concat!(
            r#"{"matches":[{"file":"d","line":2,"text":"ca"},{"file":"d","line":4,"text":"a"}],"#,
            r#""lines":3,"files":2,"counts":{"d":2,"z":1}}"#,
        ),
    );
}

#[test]
fn a_missing_piece_leaves_offsets_instead_of_lines() {
    check(
        r#"{"pattern": "a"}"#,
        &[("f#10+4", "b\na\n"), ("f#0+4", "b\na\n")],
        concat!(
            r#"{"matches":[{"file":"f","line":2,"text":"a"},{"file":"f","offset":12,"text":"a"}],"#,
            r#""lines":2,"files":1}"#,
        ),
    );
}

#[test]
fn a_cut_line_says_so() {
    let long = "a".repeat(600);
    let expect = format!(
        r#"{{"matches":[{{"file":"f","line":1,"text":"{}","cut":true}}],"lines":1,"files":1}}"#,
        "a".repeat(500),
    );
    check(r#"{"pattern": "a"}"#, &[("f", &long)], &expect);
}

#[test]
fn nothing_found_is_an_answer() {
    check(r#"{"pattern": "x"}"#, &[("f", "a")], r#"{"matches":[],"lines":0,"files":0}"#);
    let answer = finish(query(r#"{"pattern": "x", "counts": "files"}"#), None, COVERAGE).unwrap();
    assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"matches":[],"lines":0,"files":0,"counts":{}}"#);
}

#[test]
fn a_bad_pattern_is_the_query_s_failure() {
    let failure = leaf(r#"{"pattern": "["}"#, "f", "a").unwrap_err();
    assert!(matches!(failure, Failure::InvalidQuery(reason) if reason.starts_with("regex parse error")));
}

#[test]
fn a_file_that_is_cut_while_it_is_searched_gives_the_same_answer() {
    let content = "a\nb\n\nca\nb\na";
    let whole = leaf(r#"{"pattern": "a|^$", "counts": "files"}"#, "f", content).unwrap();
    let json = |partials| {
        let query = || query(r#"{"pattern": "a|^$", "counts": "files"}"#);
        let answer = finish(query(), Some(merge(query(), partials).unwrap()), COVERAGE).unwrap();
        serde_json::to_string(&answer).unwrap()
    };
    let size = content.len() as u64;
    for cut in 0..=size {
        let part = |range| {
            let partition = Partition { key: "f".to_owned(), index: 0, data: Vec::new() };
            let prepared = prepare(query(r#"{"pattern": "a|^$", "counts": "files"}"#)).unwrap();
            testing::share(content.as_bytes(), range, 2, || process(&prepared, partition)).unwrap()
        };
        assert_eq!(json(vec![part(cut..size), part(0..cut)]), json(vec![whole.clone()]), "{cut}");
    }
}

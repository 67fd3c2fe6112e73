//! Tests of the operators' URLs, and of the merge of their fares.

use super::*;

fn query(api: &str) -> Query {
    Query { api: api.to_owned(), from: "London".to_owned(), to: "King's Lynn & back".to_owned() }
}

fn fare(operator: &str, pounds: u64) -> Fare {
    Fare { pounds, operator: operator.to_owned() }
}

#[test]
fn urls_are_escaped() {
    let expect = "http://a:1/b/North%20East/fare?from=London&to=King%27s%20Lynn%20%26%20back";
    assert_eq!(url(&query("http://a:1/b/"), "North East"), expect);
}

#[test]
fn an_api_that_is_no_url_is_the_query_s_fault() {
    let partition = || Partition { key: "Albion".to_owned(), index: 0, data: Vec::new() };
    assert!(matches!(process(query("nonsense"), partition()), Err(Failure::InvalidQuery(_))));
    // Natively there is no network.
    assert!(matches!(process(query("http://a"), partition()), Err(Failure::Unavailable(_))));
    assert!(matches!(split(query("nonsense"), 2), Err(Failure::InvalidQuery(_))));
    assert!(matches!(split(query("http://a"), 2), Err(Failure::Unavailable(_))));
}

#[test]
fn fares_are_listed_cheapest_first_however_they_are_merged() {
    let [a, b, c] = [fare("A", 3), fare("B", 1), fare("C", 1)];
    let merge = |partials| merge(query("x"), partials).unwrap();
    let flat = merge(vec![vec![a.clone()], vec![b.clone()], vec![], vec![c.clone()]]);
    assert_eq!(flat, [b.clone(), c.clone(), a.clone()]);
    assert_eq!(merge(vec![vec![c], merge(vec![vec![a], vec![b]])]), flat);
}

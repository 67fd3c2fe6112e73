//! Tests of the leaf's results, and of its refusals.

use frond_plugin::{Failure, Partition};

use super::{Partial, Query, process};

mod data;

const TABLE: &str = "\
# a comment
name,crs,lat,long,terminal,operator,minutes,fare
Reading,RDG,51.458786,-0.971862,PAD,GWR,23,11.00
Swansea,SWA,51.625148,-3.941621,PAD,GWR,166,31.40
";

fn ask(query: &str, table: &str) -> Result<Partial, Failure> {
    let query: Query = serde_json::from_str(query).map_err(Failure::invalid_query)?;
    let data = table.as_bytes().to_vec();
    process(query, Partition { key: "Wales & Western".to_owned(), index: 2, data })
}

fn stations(query: &str) -> Vec<String> {
    ask(query, TABLE).unwrap().destinations.into_iter().map(|found| found.station).collect()
}

fn refusal(query: &str, table: &str) -> String {
    match ask(query, table).unwrap_err() {
        Failure::InvalidQuery(reason) => format!("query: {reason}"),
        Failure::InvalidPartition(reason) => format!("partition: {reason}"),
        Failure::Unavailable(reason) => format!("unavailable: {reason}"),
    }
}

#[track_caller]
fn check_refusal(query: &str, table: &str, expect: &str) {
    let refusal = refusal(query, table);
    assert!(refusal.contains(expect), "`{refusal}` should contain `{expect}`");
}

#[test]
fn a_destination_carries_its_region_and_whole_numbers() {
    let partial = ask(r#"{"from":"London","budget":11}"#, TABLE).unwrap();
    assert_eq!(
        serde_json::to_string(&partial).unwrap(),
        concat!(
            r#"{"regions":["Wales & Western"],"destinations":[{"station":"Reading","crs":"RDG","#,
            r#""region":"Wales & Western","operator":"GWR","terminal":"PAD","minutes":23,"pence":1100,"km":59}]}"#
        )
    );
}

#[test]
fn the_budget_includes_a_fare_that_equals_it() {
    assert_eq!(stations(r#"{"from":"London","budget":10}"#), [""; 0]);
    assert_eq!(stations(r#"{"from":"London","budget":11}"#), ["Reading"]);
    assert_eq!(stations(r#"{"from":"London","budget":4294967295}"#), ["Reading", "Swansea"]);
}

#[test]
fn a_region_where_nothing_fits_has_answered() {
    assert_eq!(ask(r#"{"from":"London","budget":0}"#, TABLE).unwrap().regions, ["Wales & Western"]);
}

#[test]
fn arrival_counts_from_nine_unless_told_otherwise() {
    assert_eq!(stations(r#"{"from":"London","budget":60,"arrive-by":"09:22"}"#), [""; 0]);
    assert_eq!(stations(r#"{"from":"London","budget":60,"arrive-by":"09:23"}"#), ["Reading"]);
    assert_eq!(stations(r#"{"from":"London","budget":60,"arrive-by":"11:46"}"#), ["Reading", "Swansea"]);
    assert_eq!(stations(r#"{"from":"London","budget":60,"depart":"10:00","arrive-by":"11:46"}"#), ["Reading"]);
}

#[test]
fn an_arrival_after_midnight_is_too_late() {
    assert_eq!(stations(r#"{"from":"London","budget":60,"depart":"22:00","arrive-by":"23:59"}"#), ["Reading"]);
}

#[test]
fn the_edges_of_what_a_table_may_say_are_computed_without_surprise() {
    let far = format!("{TABLE}Antipodes,ANT,-51.5074,179.8722,PAD,GWR,4294967295,42949672.95\n");
    let ask_far = |query: &str| ask(query, &far).unwrap().destinations.pop().unwrap();
    let found = ask_far(r#"{"from":"London","budget":4294967295}"#);
    assert_eq!((found.minutes, found.pence, found.km), (u32::MAX, u32::MAX, 20015));
    assert_eq!(ask_far(r#"{"from":"London","budget":4294967295,"arrive-by":"23:59"}"#).station, "Swansea");
}

#[test]
fn a_query_that_no_region_can_answer_is_refused() {
    check_refusal(r#"{"from":"Leeds","budget":60}"#, TABLE, "query: unknown variant `Leeds`, expected `London`");
    check_refusal(r#"{"from":"London"}"#, TABLE, "query: missing field `budget`");
    check_refusal(r#"{"from":"London","budget":-1}"#, TABLE, "query: invalid value: integer `-1`");
    check_refusal(r#"{"from":"London","budget":60,"via":"Crewe"}"#, TABLE, "query: unknown field `via`");
    check_refusal(
        r#"{"from":"London","budget":60,"arrive-by":"09:00"}"#,
        TABLE,
        "query: arrive-by is not later than depart",
    );
    for time in ["9:00", "24:00", "10:60", "+9:00", "0900", ""] {
        let query = format!(r#"{{"from":"London","budget":60,"depart":"{time}"}}"#);
        check_refusal(&query, TABLE, &format!("query: `{time}` is not a time of day such as 09:00"));
    }
}

#[test]
fn a_bad_line_is_named() {
    let query = r#"{"from":"London","budget":60}"#;
    let with = |line: &str| format!("{TABLE}{line}\n");
    let check = |line: &str, expect: &str| check_refusal(query, &with(line), &format!("partition: line 5: {expect}"));
    check("Slough,SLO,51.51", "3 fields where there should be 8");
    check("", "1 fields where there should be 8");
    check("Slough,SLO,north,-0.59,PAD,GWR,15,8.30", "lat `north` is not a number");
    check("Slough,SLO,nan,-0.59,PAD,GWR,15,8.30", "lat `nan` is not a number");
    check("Slough,SLO,51.51,1e999,PAD,GWR,15,8.30", "long `1e999` is not a number");
    check("Slough,SLO,51.51,-0.59,PAD,GWR,soon,8.30", "minutes `soon` is not a number");
    for fare in ["8", "8.3", "8.300", "-8.30", "8.+3", ".", "99999999.00"] {
        let line = format!("Slough,SLO,51.51,-0.59,PAD,GWR,15,{fare}");
        check(&line, &format!("fare `{fare}` is not pounds and pence such as 12.50"));
    }
    check_refusal(query, "Reading,RDG", "partition: line 1: `Reading,RDG` is not the header");
    check_refusal(query, "", "partition: the table has no header");
}

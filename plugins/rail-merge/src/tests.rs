//! Tests of the answer, and of the laws that let the root merge in any tree.

use std::collections::BTreeSet;

use frond_plugin::{Coverage, Partition};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Destination, Partial, Query, REGIONS, finish, merge};

fn query() -> Query {
    Query { from: "London".to_owned(), budget: 60 }
}

fn coverage(complete: bool) -> Coverage {
    Coverage { planned: 5, covered: if complete { 5 } else { 1 }, complete }
}

fn train(crs: &str, operator: &str, minutes: u32, pence: u32, km: u32) -> Destination {
    Destination {
        station: format!("Station {crs}"),
        crs: crs.to_owned(),
        region: "Eastern".to_owned(),
        operator: operator.to_owned(),
        terminal: "KGX".to_owned(),
        minutes,
        pence,
        km,
    }
}

fn partial(region: &str, destinations: Vec<Destination>) -> Partial {
    Partial { regions: BTreeSet::from([region.to_owned()]), destinations }
}

fn answer(merged: Option<Partial>, complete: bool) -> serde_json::Value {
    serde_json::to_value(finish(query(), merged, coverage(complete)).unwrap()).unwrap()
}

#[test]
fn the_cheapest_train_to_a_station_counts_then_the_fastest() {
    let trains = vec![
        train("YRK", "LNER", 111, 3300, 280),
        train("YRK", "Grand Central", 117, 2970, 280),
        train("DON", "LNER", 93, 2840, 234),
        train("DON", "Hull Trains", 90, 2840, 234),
    ];
    let merged = merge(query(), vec![partial("Eastern", trains)]).unwrap();
    let kept: Vec<&str> = merged.destinations.iter().map(|kept| kept.operator.as_str()).collect();
    assert_eq!(kept, ["Hull Trains", "Grand Central"]);
}

#[test]
fn the_nearest_comes_first_and_codes_decide_ties() {
    let trains = vec![train("B", "x", 1, 1, 9), train("C", "x", 1, 1, 3), train("A", "x", 1, 1, 9)];
    let answer = answer(Some(partial("Eastern", trains)), false);
    let codes: Vec<_> = answer["destinations"].as_array().unwrap().iter().map(|found| &found["crs"]).collect();
    assert_eq!(codes, ["C", "A", "B"]);
}

#[test]
fn an_answer_names_the_regions_that_are_missing() {
    let answer = answer(Some(partial("Scotland", vec![])), false);
    assert_eq!(
        answer.to_string(),
        concat!(
            r#"{"budget":60,"complete":false,"count":0,"destinations":[],"from":"London","regions":"#,
            r#"{"answered":["Scotland"],"missing":["Eastern","North West & Central","Southern","Wales & Western"]}}"#
        )
    );
}

#[test]
fn without_any_partial_every_region_is_missing() {
    let answer = answer(None, false);
    assert_eq!(answer["regions"]["missing"], serde_json::json!(REGIONS));
    assert_eq!(answer["regions"]["answered"], serde_json::json!([]));
}

#[test]
fn the_leafs_partial_is_of_the_form_that_is_merged() {
    let table = "name,crs,lat,long,terminal,operator,minutes,fare\nYork,YRK,53.957984,-1.093171,KGX,LNER,111,33.00\n";
    let region = Partition { key: "Eastern".to_owned(), index: 0, data: table.as_bytes().to_vec() };
    let text = r#"{"from":"London","budget":60,"depart":"08:00"}"#;
    let found = rail_leaf::process(serde_json::from_str(text).unwrap(), region).unwrap();
    let found: Partial = serde_json::from_slice(&serde_json::to_vec(&found).unwrap()).unwrap();
    let merged = merge(serde_json::from_str(text).unwrap(), vec![found]).unwrap();
    assert_eq!(
        answer(Some(merged), true)["destinations"],
        serde_json::json!([{
            "station": "York", "crs": "YRK", "region": "Eastern", "operator": "LNER", "terminal": "KGX",
            "minutes": 111, "fare": 33.0, "km": 280,
        }])
    );
}

/// Generates destinations from few values, so that stations recur with equal and with better
/// trains.
fn destinations() -> impl Strategy<Value = Vec<Destination>> {
    let one = (select(vec!["YRK", "DON", "RDG"]), select(vec!["LNER", "GWR"]), 1..3_u32, 1..3_u32, 1..3_u32);
    vec(one.prop_map(|(crs, operator, minutes, pence, km)| train(crs, operator, minutes, pence, km)), 0..6)
}

fn partials() -> impl Strategy<Value = Vec<Partial>> {
    let regions = btree_set(select(REGIONS.map(str::to_owned).to_vec()), 0..3);
    let one = (regions, destinations()).prop_map(|(regions, destinations)| Partial { regions, destinations });
    vec(one, 1..8)
}

fn bytes(partials: Vec<Partial>) -> Vec<u8> {
    serde_json::to_vec(&merge(query(), partials).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn any_order_in_any_tree_gives_the_same_bytes(
        (partials, shuffled) in partials().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        folds in vec((any::<Index>(), any::<Index>()), 0..8),
    ) {
        let mut tree = shuffled;
        for (place, width) in folds {
            let start = place.index(tree.len());
            let end = start + 1 + width.index(tree.len() - start);
            let folded = merge(query(), tree[start..end].to_vec()).unwrap();
            tree.splice(start..end, [folded]);
        }
        prop_assert_eq!(bytes(tree), bytes(partials));
    }

    #[test]
    fn a_partial_that_comes_twice_counts_once(partials in partials(), again in any::<Index>()) {
        let mut twice = partials.clone();
        twice.push(again.get(&partials).clone());
        prop_assert_eq!(bytes(twice), bytes(partials));
    }
}

//! Cases and laws of content negotiation.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const OFFERS: [&str; 3] = ["application/json", "application/vnd.frond+json", "text/event-stream"];
const METRICS: [&str; 2] =
    ["application/openmetrics-text; version=1.0.0; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"];

fn accepting(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (ACCEPT, HeaderValue::from_str(value).unwrap())).collect()
}

#[track_caller]
fn check(offers: &[&str], accept: &[&str], expected: Option<usize>) {
    assert_eq!(preferred(&accepting(accept), offers), expected, "{accept:?}");
}

#[test]
fn the_best_offer_is_chosen() {
    for (accept, expected) in [
        (&[][..], Some(0)),
        (&["*/*"], Some(0)),
        (&[""], Some(0)),
        (&[",,;;,", "nothing"], Some(0)),
        (&["application/json"], Some(0)),
        (&["application/json, text/event-stream"], Some(0)),
        (&["text/event-stream, application/json"], Some(0)),
        (&["text/event-stream", "application/json"], Some(0)),
        (&["text/event-stream, application/json;q=0.9"], Some(2)),
        (&["text/event-stream, */*"], Some(2)),
        (&["text/event-stream;q=0.9, */*"], Some(0)),
        (&["application/vnd.frond+json, */*;q=0.5"], Some(1)),
        (&["Application/Vnd.Frond+JSON; q=0.1"], Some(1)),
        (&["text/html, application/vnd.frond+json, text/event-stream"], Some(1)),
        (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Some(0)),
        (&["application/*, application/json;q=0"], Some(1)),
        (&["application/*;q=0.5, text/*;q=0.6"], Some(2)),
        (&["*/*, application/json;q=0, text/event-stream;q=0.9"], Some(1)),
        (&["text/event-stream; x=\"a,application/json\""], Some(2)),
        (&["text/event-stream; x=\"\\\"application/json\""], Some(2)),
        (&["text/html"], None),
        (&["*/*;q=0"], None),
        (&["text/event-streams, xapplication/json"], None),
        // An invalid weight invalidates only its own range.
        (&["application/json;q=2, text/event-stream"], Some(2)),
        (&["application/json;q=0.1234, text/event-stream;q=-1, application/vnd.frond+json;q=x"], Some(0)),
    ] {
        check(&OFFERS, accept, expected);
    }
    check(&[], &["*/*"], None);
    // An app may declare any text as the content type of its answers.
    check(&["something", "text/event-stream"], &["*/*"], Some(0));
    check(&["something", "text/event-stream"], &["text/event-stream, application/json"], Some(1));
}

#[test]
fn parameters_tell_versions_apart() {
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;\
                        q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, expected) in [
        ("text/plain", Some(1)),
        ("text/plain;version=0.0.4", Some(1)),
        ("text/plain; version=\"0.0.4\"; q=0.5, */*; q=0.1", Some(1)),
        ("text/*", Some(1)),
        ("*/*", Some(0)),
        ("application/openmetrics-text", Some(0)),
        ("text/plain, application/openmetrics-text", Some(0)),
        ("text/plain, application/openmetrics-text;version=0.0.1", Some(1)),
        ("application/openmetrics-text;version=0.0.1", None),
        (prometheus_2, Some(0)),
        (prometheus_3, Some(0)),
    ] {
        check(&METRICS, &[accept], expected);
    }
}

/// A media range that often matches an offer.
fn range() -> impl Strategy<Value = String> {
    let names = [&OFFERS[..], &["*/*", "text/*", "application/*", "text/html"]].concat();
    let quality = prop_oneof![
        Just(String::new()),
        (0..=1000_u32).prop_map(|q| format!(";q={}.{:03}", q / 1000, q % 1000)),
        Just(";q=0".to_owned())
    ];
    (prop::sample::select(names), quality).prop_map(|(name, quality)| format!("{name}{quality}"))
}

/// The weight of each offer, by a naive reference implementation.
fn weight(ranges: &[String], offer: &str) -> f64 {
    let kind = offer.split_once('/').unwrap().0;
    for name in [offer.to_owned(), format!("{kind}/*"), "*/*".to_owned()] {
        let mut of_name = ranges.iter().filter_map(|range| {
            let (of, quality) = range.split_once(";q=").unwrap_or((range, "1"));
            (of == name).then(|| quality.parse::<f64>().unwrap())
        });
        if let Some(first) = of_name.next() {
            return of_name.fold(first, f64::max);
        }
    }
    0.0
}

proptest! {
    #[test]
    fn no_offer_weighs_more_than_the_one_that_is_chosen(ranges in prop::collection::vec(range(), 1..6)) {
        let chosen = preferred(&accepting(&[&ranges.join(", ")]), &OFFERS);
        let weights = OFFERS.map(|offer| weight(&ranges, offer));
        let most = weights.into_iter().fold(0.0, f64::max);
        match chosen {
            Some(place) => prop_assert!(weights[place] == most && most > 0.0, "{:?}: {:?}", ranges, weights),
            None => prop_assert_eq!(most, 0.0),
        }
    }

    #[test]
    fn neither_the_order_nor_the_spelling_of_ranges_matters(
        ranges in prop::collection::vec(range(), 1..6),
        by in 0..6_usize,
    ) {
        let chosen = preferred(&accepting(&[&ranges.join(",")]), &OFFERS);
        let mut turned: Vec<_> = ranges.iter().map(|range| range.to_uppercase().replace(';', " ;\t")).collect();
        turned.rotate_left(by % ranges.len());
        let turned: Vec<_> = turned.iter().map(String::as_str).collect();
        prop_assert_eq!(preferred(&accepting(&turned), &OFFERS), chosen);
    }

    #[test]
    fn nothing_brings_it_down(value in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers: HeaderMap = [(ACCEPT, value)].into_iter().collect();
            prop_assert!(preferred(&headers, &OFFERS).is_none_or(|place| place < OFFERS.len()));
        }
    }
}

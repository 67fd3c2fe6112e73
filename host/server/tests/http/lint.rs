//! Metrics follow the rules of Prometheus' linter (`promtool check metrics`).
//! Every family has a help text, is named by its base unit, and only counters are totals.

use std::collections::{BTreeMap, HashSet};

use frond_server::Config;
use reqwest::Method;

use crate::common::{Served, by_key, config, send};

/// Other units with their base unit: client_golang, `promlint/validations`.
const UNITS: [(&str, &str); 21] = [
    ("milliseconds", "seconds"),
    ("microseconds", "seconds"),
    ("nanoseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("gigabytes", "bytes"),
    ("kibibytes", "bytes"),
    ("mebibytes", "bytes"),
    ("bits", "bytes"),
    ("kelvin", "celsius"),
    ("percent", "ratio"),
    ("millivolts", "volts"),
    ("kilometers", "meters"),
    ("centimeters", "meters"),
    ("grams", "kilograms"),
    ("kilojoules", "joules"),
    ("milliamperes", "amperes"),
    ("milligrams", "grams"),
];
const ABBREVIATIONS: [&str; 13] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h"];

/// A family: its type, its help, and its samples with their labels.
#[derive(Default, Debug)]
struct Family {
    kind: String,
    help: String,
    samples: Vec<String>,
}

/// Parses the text format 0.0.4, in which a sample belongs to the preceding family.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("# ") else {
            assert!(line.starts_with(&last), "{line} is not of {last}");
            families.get_mut(&last).unwrap().samples.push(line.to_owned());
            continue;
        };
        let [keyword, name, value] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let family = families.entry(name.to_owned()).or_default();
        match keyword {
            "HELP" => {
                assert!(family.help.is_empty(), "{name} is described twice");
                family.help = value.to_owned();
            }
            "TYPE" => family.kind = value.to_owned(),
            _ => panic!("{line}"),
        }
        last = name.to_owned();
    }
    families
}

/// The linter's complaints about a family.
fn complaints(name: &str, family: &Family) -> Vec<String> {
    let Family { kind, help, samples } = family;
    let mut found = Vec::new();
    let mut say = |wrong: bool, text: &str| {
        if wrong {
            found.push(format!("{name}: {text}"));
        }
    };
    let parts: Vec<&str> = name.split('_').collect();
    say(help.trim().len() < 5, "no help");
    say(samples.is_empty(), "no samples");
    say(!matches!(kind.as_str(), "counter" | "gauge" | "histogram"), "its type is unknown");
    say(name.chars().any(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')), "it is not in snake_case");
    say((kind == "counter") != name.ends_with("_total"), "counters, and only they, end with _total");
    say(
        kind != "histogram" && ["_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end)),
        "a reserved ending",
    );
    say(
        ["gauge", "counter", "histogram", "summary"].iter().any(|kind| parts.contains(kind)),
        "its type is in its name",
    );
    for (unit, base) in UNITS {
        say(parts.contains(&unit), base);
    }
    say(ABBREVIATIONS.iter().any(|unit| parts.contains(unit)), "a unit is abbreviated");
    let unit = parts.iter().rev().find(|part| **part != "total");
    let is_last = |base: &str| !parts.contains(&base) || unit == Some(&base);
    say(!is_last("seconds") || !is_last("bytes"), "the unit is not at the end");
    let labelled = |label: &str| samples.iter().any(|sample| sample.contains(&format!("{label}=\"")));
    say(kind != "histogram" && (labelled("{le") || labelled(",le")), "a reserved label");
    say(labelled("{quantile") || labelled(",quantile"), "a reserved label");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_as_the_linter_wants_it() {
    let served = Served::with(Config { traces: Some("http://127.0.0.1:1".to_owned()), ..config() }).await;
    served.ask("caller", by_key(&["ok-0", "trap-1"])).await.expect(200);
    served.ask("strict", by_key(&["trap"])).await.expect(504);
    served.ask("nobody", "").await.expect(404);
    let job = send(served.request(Method::POST, "/v1/apps/caller/jobs").body(by_key(&["ok"]))).await.expect(202).json();
    served.json(&format!("/v1/jobs/{}?wait=60s", job["id"].as_str().unwrap())).await;
    served.until("frond_trace_spans_dropped_total", &["refused"], |count| count > 0.0).await;
    let reply = send(served.request(Method::GET, "/metrics").header("accept", "text/plain")).await.expect(200);
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    if let Some(path) = std::env::var_os("FROND_METRICS_FILE") {
        std::fs::write(path, reply.text()).unwrap();
    }
    let families = families(&reply.text());
    let found: Vec<_> = families.iter().flat_map(|(name, family)| complaints(name, family)).collect();
    assert!(found.is_empty(), "{found:#?}");
    // OpenMetrics has the same names, with the same samples.
    let open = served.get("/metrics").await.expect(200);
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    let names = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split([' ', '{']).next().unwrap().to_owned()).collect::<HashSet<_>>()
    };
    assert_eq!(names(&open.text()), names(&reply.text()));
}

#[test]
fn the_linter_finds_what_is_wrong() {
    let family = |kind: &str, help: &str, sample: &str| Family {
        kind: kind.to_owned(),
        help: help.to_owned(),
        samples: vec![sample.to_owned()],
    };
    for (name, of, count) in [
        ("frond_queries_total", family("counter", "Queries.", "frond_queries_total 1"), 0),
        ("frond_queries", family("counter", "Queries.", "frond_queries 1"), 1),
        ("frond_queries_total", family("gauge", "Queries.", "frond_queries_total 1"), 1),
        ("frond_queries", family("gauge", "", "frond_queries 1"), 1),
        ("frond_wait_milliseconds", family("gauge", "A wait.", "frond_wait_milliseconds 1"), 1),
        ("frond_seconds_waited", family("gauge", "A wait.", "frond_seconds_waited 1"), 1),
        ("frond_wait_ms", family("gauge", "A wait.", "frond_wait_ms 1"), 1),
        ("frond_leaf_count", family("gauge", "Leaves.", "frond_leaf_count 1"), 1),
        ("frond_leafGauge", family("gauge", "Leaves.", "frond_leafGauge 1"), 1),
        ("frond_leaf_gauge", family("gauge", "Leaves.", "frond_leaf_gauge{le=\"1\"} 1"), 2),
    ] {
        assert_eq!(complaints(name, &of).len(), count, "{name}: {:?}", complaints(name, &of));
    }
}

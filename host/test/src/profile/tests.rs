//! Tests of the two profile formats and of the hottest functions.

use frond_sandbox::profile::{Profile, Sampling};
use serde_json::{Value, json};

use super::{hottest, speedscope};

/// A profile of three samples: `main` calls `work`, the same one level deeper, and an empty stack.
fn profile() -> Profile {
    let firefox = json!({
        "meta": {},
        "threads": [{
            "samples": { "stack": [1, 2, null], "threadCPUDelta": [1000, 3000, 5] },
            "stackTable": { "prefix": [null, 0, 1], "frame": [0, 1, 2] },
            "frameTable": { "func": [0, 1, 1] },
            "funcTable": { "name": [1, 0] },
            "stringArray": ["work", "main"]
        }]
    });
    let firefox = serde_json::to_vec(&firefox).unwrap();
    Profile { sampling: Sampling::Fuel(1000), samples: 3, more: 0, firefox }
}

#[test]
fn the_hottest_function_is_counted_once_a_sample() {
    let all = hottest(&profile()).unwrap();
    let weights: Vec<(&str, u64, u64)> = all.iter().map(|hot| (hot.name.as_str(), hot.own, hot.total)).collect();
    assert_eq!(weights, [("work", 4000, 4000), ("main", 0, 4000)]);
}

#[test]
fn speedscope_gets_what_its_format_asks_for() {
    let found: Value = serde_json::from_slice(&speedscope(&profile(), "a case").unwrap()).unwrap();
    let profile = json!({
        "type": "sampled", "name": "a case", "unit": "none", "startValue": 0, "endValue": 4005,
        "samples": [[0, 1], [0, 1, 1], []], "weights": [1000, 3000, 5]
    });
    assert_eq!(found["$schema"], "https://www.speedscope.app/file-format-schema.json");
    assert_eq!(found["shared"], json!({ "frames": [{ "name": "main" }, { "name": "work" }] }));
    assert_eq!(found["profiles"], json!([profile]));
}

#[test]
fn what_is_no_profile_is_refused() {
    let with = |firefox: &str| Profile { firefox: firefox.into(), ..profile() };
    for text in ["", "{}", r#"{"threads":[]}"#] {
        assert!(hottest(&with(text)).is_err(), "{text}");
    }
    let text = String::from_utf8(profile().firefox).unwrap();
    for (from, to) in [("[null,0,1]", "[null,2,1]"), ("[0,1,2]", "[0,9,2]"), ("[1,0]", "[1,9]"), ("[0,1,1]", "[0,9,9]")]
    {
        assert!(text.contains(from), "{from}");
        let error = speedscope(&with(&text.replace(from, to)), "").unwrap_err().to_string();
        assert!(error.contains("out of bounds"), "{error}");
    }
}

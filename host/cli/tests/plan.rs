//! `frond plan` from outside: promises without an app, and plans from recordings and calibrations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use kit::{Folder, frond};

#[test]
fn leaves_of_99_percent_allow_three_under_97_percent() {
    let text = frond(["plan", "--sla", "97%", "--leaf-availability", "99%"]).run().expect(0).out();
    assert!(text.contains("leaves                     3   limited by the promised availability"), "{text}");
    assert!(text.contains("with one more         0.9606"), "{text}");
    let json =
        frond(["plan", "--sla", "0.97", "--leaf-availability", "0.99", "--format", "json"]).run().expect(0).json();
    assert_eq!(
        (json["version"].as_u64(), json["leaves"].as_u64(), json["binding"].as_str()),
        (Some(1), Some(3), Some("sla"))
    );
    assert!((json["availability"]["with_one_more"].as_f64().unwrap() - 0.960_596_01).abs() < 1e-9);
    assert_eq!(json["inputs"][0]["source"], "given");
}

#[test]
fn a_plan_without_its_inputs_says_how_to_give_them() {
    for (args, remedy) in [
        (&["plan"][..], "(name an app: frond plan APP; or promise an availability: --sla 97% --leaf-availability 99%)"),
        (&["plan", "--sla", "97%"], "(give it: --leaf-availability 99%; or name an app: frond plan APP)"),
        (&["plan", "--sla", "97", "--leaf-availability", "99%"], "such as 97% or 0.97"),
        (&["plan", "--deadline", "1s"], "<APP>"),
        (&["plan", "nowhere"], "nowhere"),
        (&["plan", "examples/pi", "--recording", "README.md"], "(make one with `frond query --record FILE`)"),
    ] {
        let ended = frond(args).run().expect(64);
        assert!(ended.err().contains(remedy), "{}", ended.err());
    }
}

#[test]
fn an_app_is_planned_from_a_recording() {
    let folder = Folder::new();
    let file = folder.path("run.ndjson").display().to_string();
    let query = r#"{"from":"London","budget":60}"#;
    frond(["query", "examples/rail", query, "--record", &file]).run().expect(0);
    let json = frond(["plan", "examples/rail", "--recording", &file, "--format", "json"]).run().expect(0).json();
    // The regions of the app are fixed.
    assert_eq!(json["pieces"], 5);
    assert!(json["leaves"].as_u64().unwrap() <= 5);
    let spread = &json["prediction"]["chosen"]["spread"];
    assert!(spread["p50"].as_f64().unwrap() <= spread["p99"].as_f64().unwrap());
    let leaf = json["inputs"].as_array().unwrap().iter().find(|row| row["name"] == "mean leaf").unwrap();
    assert_eq!((leaf["source"].as_str(), leaf["samples"].as_u64()), (Some("recording"), Some(5)));
}

#[test]
fn an_app_is_planned_from_queries_that_run_now() {
    let json = frond(["plan", "examples/rail", "--measure", "1ms", "--format", "json"]).run().expect(0).json();
    assert!(json["basis"].as_str().unwrap().contains("the query of the case `"), "{json}");
    let leaf = json["inputs"].as_array().unwrap().iter().find(|row| row["name"] == "mean leaf").unwrap();
    assert_eq!(leaf["source"], "calibration");
}

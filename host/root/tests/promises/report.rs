//! Tests of reports and events as JSON: their names are an interface and must not change by
//! accident.

use frond_root::answer::{MAX_MISSING, Missing, Tally, Timings};
use frond_root::{Coverage, Event, EventKind, FailureKind, Floor, Reason, Request, Status};
use frond_testkit::{Script, Stage, Turn, ms, plan_weighing, request};

async fn some_of_everything() -> (Coverage, Stage) {
    let stage = Stage::new(
        Script::all(Turn::succeed().after(ms(20)))
            .at(1, Turn::fail(FailureKind::Trap).after(ms(30)))
            .at(2, Turn::never().emitting(ms(10), "70", 0.5))
            .at(3, Turn::never())
            .at_attempt(5, 1, Turn::fail(FailureKind::Unavailable).after(ms(10))),
    )
    .on_slots(8);
    let request = Request { floor: Floor::BestEffort, required: vec!["p0".into()], ..request() };
    let answer = stage.ask(request, plan_weighing(&[50, 40, 30, 20, 10, 10])).await;
    (answer.coverage().clone(), stage)
}

#[tokio::test(start_paused = true)]
async fn coverage_as_json() {
    let (mut coverage, _) = some_of_everything().await;
    // All other fields are deterministic.
    coverage.timings = Timings { deadline: 1000.0, ..Timings::default() };
    let mut json = serde_json::to_value(&coverage).unwrap();
    json["query"] = "…".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[tokio::test(start_paused = true)]
async fn coverage_and_events_come_back_from_json_as_they_were() {
    let (coverage, stage) = some_of_everything().await;
    let text = serde_json::to_string(&coverage).unwrap();
    let back: Coverage = serde_json::from_str(&text).unwrap();
    assert_eq!(back.partitions, coverage.partitions);
    assert_eq!(back.missing, coverage.missing);
    let events = stage.record.events();
    assert!(events.len() > 20);
    for event in events {
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n'));
        let back: Event = serde_json::from_str(&line).unwrap();
        assert_eq!(back.at, event.at);
        assert_eq!(std::mem::discriminant(&back.kind), std::mem::discriminant(&event.kind));
        if !matches!(event.kind, EventKind::QueryEnded { .. }) {
            assert_eq!(back, event);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_as_json() {
    let (_, stage) = some_of_everything().await;
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for event in stage.record.events() {
        let mut json = serde_json::to_value(&event).unwrap();
        let name = json["event"].as_str().unwrap().to_owned();
        if !seen.insert(name.clone()) {
            continue;
        }
        json["at"] = 0.into();
        for (field, value) in
            [("query", "…".into()), ("unix_ms", 0.into()), ("start", 0.into()), ("coverage", "…".into())]
        {
            if let Some(here) = json.get_mut(field) {
                *here = value;
            }
        }
        lines.push((name, json.to_string()));
    }
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn statuses_and_slugs_are_spelled_one_way() {
    let tally = serde_json::to_value(Tally::default()).unwrap();
    for status in [
        Status::Skipped,
        Status::Succeeded,
        Status::Degraded,
        Status::Failed,
        Status::TimedOut,
        Status::Cancelled,
        Status::NotStarted,
    ] {
        let name = serde_json::to_value(status).unwrap();
        assert!(tally.get(name.as_str().unwrap()).is_some(), "{name} is not a part of the tally");
        let mut tally = Tally::default();
        tally.add(status, 3);
        assert!(tally.is_closed());
        assert_eq!(serde_json::to_value(tally).unwrap()[name.as_str().unwrap()], 3);
    }
    for kind in FailureKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.slug());
        assert_eq!(kind.to_string(), kind.slug());
    }
}

#[test]
fn reasons_as_json() {
    let failure = frond_root::Failure::new(FailureKind::Trap, "it fell");
    let reasons = [
        Reason::InvalidQuery(failure.clone()),
        Reason::BelowFloor,
        Reason::Deadline,
        Reason::Cancelled,
        Reason::Merge(failure),
    ];
    let lines = reasons.map(|reason| format!("{} | {reason}", serde_json::to_string(&reason).unwrap()));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"reason":"invalid-query","failure":{"kind":"trap","message":"it fell"}} | trap: it fell
    {"reason":"below-floor"} | too little arrived to answer
    {"reason":"deadline"} | nothing arrived before the deadline
    {"reason":"cancelled"} | cancelled before enough had arrived
    {"reason":"merge","failure":{"kind":"trap","message":"it fell"}} | the merge failed: trap: it fell
    "#);
}

#[tokio::test(start_paused = true)]
async fn times_in_the_report_add_up() {
    let (coverage, _) = some_of_everything().await;
    let Timings { deadline, reserve, plan, gather, merge, total, leaf_used, leaf_wasted, leaf_waited } =
        coverage.timings;
    assert_eq!((deadline, reserve), (1000.0, 100.0));
    assert!((plan + gather + merge - total).abs() < 0.01);
    assert!(total < deadline && gather >= 880.0, "{:?}", coverage.timings);
    // Three successes of 20 ms and an emission of a leaf of 885 ms; a trap, a failure and a leaf
    // without an emission.
    assert!((940.0..=960.0).contains(&leaf_used), "{leaf_used}");
    assert!((920.0..=935.0).contains(&leaf_wasted), "{leaf_wasted}");
    assert_eq!(leaf_waited, 0.0, "no runner of this test lets leaves leave their slots");
    let names: &[Missing] = &coverage.missing;
    assert!(names.len() <= MAX_MISSING);
}

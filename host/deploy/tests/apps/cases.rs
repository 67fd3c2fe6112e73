//! An app's cases are checked before a change serves.

use std::time::Duration;

use crate::kit::{Apps, PI, marked, plugin, refusal};
use frond_deploy::{Settings, Stage, Watching};
use frond_run::Role;

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_case_refuses_and_is_tried_again_when_it_is_right() {
    let apps = Apps::with_pi();
    apps.case("pi/cases/whole.toml", "outcome = \"complete\"");
    let mut served = apps.serve().await;
    let view = served.view("pi");
    let checks = view.serving.unwrap().checks;
    assert_eq!((checks.cases.as_str(), checks.canary.as_str()), ("1 passed", "passed"));
    assert_eq!(view.examples[0].query, r#"{"seed": 1}"#);

    apps.case("pi/cases/wrong.toml", "text = \"3\"");
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    let (stage, text) = served.refused("pi").await;
    assert_eq!(stage, Stage::Testing);
    assert!(text.starts_with("1 passed, 1 failed\nwrong (query)\n") && text.contains("- 3"), "{text}");
    assert_eq!(served.current("pi").number, 1);

    apps.case("pi/cases/wrong.toml", "outcome = \"complete\"");
    let checks = served.version("pi", 2).await.serving.unwrap().checks;
    assert_eq!(checks.cases, "2 passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_a_case_of_the_whole_app_names_the_limit_that_its_leaves_met() {
    let apps = Apps::with_pi();
    apps.case("pi/cases/whole.toml", "outcome = \"complete\"");
    let mut served = apps.serve().await;
    apps.write("pi/frond.toml", format!("{PI}\n[limits.leaf]\nfuel = 10\n").as_bytes());
    let (stage, text) = served.refused("pi").await;
    assert_eq!(stage, Stage::Testing);
    let limit = "limits.leaf.fuel is 10; raise it with `[limits.leaf] fuel = …`";
    assert!(text.contains("failed: out-of-fuel") && text.contains(limit), "{text}");
    assert_eq!(served.current("pi").number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_case_refused_does_not_serve_after_a_restart_until_the_case_is_right() {
    let apps = Apps::with_pi();
    apps.serve_unwatched().await.close().await;
    apps.case("pi/cases/wrong.toml", "text = \"3\"");
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    let served = apps.serve_unwatched().await;
    let refused = served.view("pi").refused.unwrap();
    assert_eq!((refused.stage, served.current("pi").number), (Stage::Testing, 1), "{}", refused.error);
    served.close().await;

    let served = apps.serve_unwatched().await;
    assert_eq!(served.view("pi").refused, Some(refused), "the very same: it was not tested again");
    assert_eq!(served.current("pi").number, 1);
    served.answer("pi").await;
    served.close().await;

    apps.case("pi/cases/wrong.toml", "outcome = \"complete\"");
    let served = apps.serve_unwatched().await;
    let view = served.view("pi");
    assert_eq!((view.refused, view.serving.unwrap().number), (None, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_is_wrong_itself_refuses_and_is_named() {
    let apps = Apps::with_pi();
    let served = apps.serve().await;
    apps.write("pi/cases/slip.toml", b"qery = '{}'\n");
    let (stage, text) = refusal(served.registry.put("pi", Role::Leaf, marked("pi", 1)).await);
    assert_eq!(stage, Stage::Testing);
    assert!(text.starts_with("0 passed, 0 failed, 1 broken\nslip (?)\n  the case itself is wrong: line 1"), "{text}");
    served.answer("pi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_fails_at_once_is_not_told_as_taking_too_long() {
    let apps = Apps::with_pi();
    // More than the limit of all cases.
    apps.write("pi/frond.toml", PI.replace("20s", "10m").as_bytes());
    let served = apps.serve_unwatched().await;
    apps.case("pi/cases/wrong.toml", "text = \"3\"");
    let (stage, text) = refusal(served.registry.put("pi", Role::Leaf, marked("pi", 1)).await);
    assert_eq!(stage, Stage::Testing);
    assert!(text.starts_with("0 passed, 1 failed\nwrong (query)\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_take_too_long_refuse() {
    let apps = Apps::new();
    apps.write("slow/leaf.wasm", &plugin("faulty"));
    apps.write("slow/merge.wasm", &plugin("faulty"));
    let source = PI.replace("kind = \"range\"\nstart = 0\nend = 1000", "kind = \"query\"");
    apps.write("slow/frond.toml", source.as_bytes());
    let settings = Settings { case_time: Duration::from_millis(300), watch: Watching::Off, ..apps.settings() };
    let served = apps.serve_with(settings).await;
    let case = "query = '{}'\npartition = \"\"\nkey = \"sleep\"\n\n[expect]\nfailure = \"trap\"\n";
    apps.write("slow/cases/sleeps.toml", case.as_bytes());
    let (stage, text) = refusal(served.registry.put("slow", Role::Leaf, marked("faulty", 1)).await);
    assert_eq!(stage, Stage::Testing);
    assert!(text.contains("take longer than the 0.3 s") && text.contains("`sleeps`"), "{text}");
}

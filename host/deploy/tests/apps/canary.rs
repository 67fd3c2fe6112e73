//! The canary: the last query is run on a change before it serves.

use bytes::Bytes;
use frond_deploy::Stage;
use frond_run::Role;

use crate::kit::{Apps, PI, Served, marked, plugin, refusal};

/// An app that counts words; one partition is a command to the fault-injecting plugin.
async fn words(order: &str) -> (Apps, Served) {
    let apps = Apps::new();
    apps.write("words/wordcount.wasm", &plugin("wordcount"));
    let manifest = format!(
        "[leaf]\ncomponent = \"wordcount.wasm\"\n[merge]\ncomponent = \"wordcount.wasm\"\n\
         [source]\nkind = \"list\"\npartitions = [{{ key = \"{order}\", data = \"one two two\" }}]\n\
         [query]\ndeadline = \"4s\"\n[limits.leaf]\nfuel = 100_000_000\n"
    );
    apps.write("words/frond.toml", manifest.as_bytes());
    let served = apps.serve_unwatched().await;
    let version = served.current("words");
    let query = r#"{"top": 1}"#;
    assert_eq!(crate::kit::answer(&version, query).await.outcome(), "complete");
    served.registry.remember(&version, &Bytes::from(query));
    (apps, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_misbehaves_on_the_last_query_is_refused() {
    let failures = [
        ("trap", "trap", ""),
        ("spin", "out-of-fuel", "limits.leaf.fuel is 100,000,000; raise it with `[limits.leaf] fuel = …`"),
        ("grow-memory", "out-of-memory", "limits.leaf.memory is 64 MiB"),
        ("sleep", "out-of-time", "query.deadline is 4 s"),
        ("huge-output", "output-too-large", "limits.leaf.output is 4 MiB"),
    ];
    for (order, slug, limit) in failures {
        let (_apps, served) = words(order).await;
        let (stage, text) = refusal(served.registry.put("words", Role::Leaf, plugin("faulty")).await);
        assert_eq!(stage, Stage::Canary, "{text}");
        assert!(text.starts_with(&format!("the partition `{order}` failed: {slug}: ")), "{text}");
        assert!(text.contains(limit), "{text}");
        let view = served.view("words");
        assert_eq!(view.serving.unwrap().number, 1);
        assert_eq!(view.refused.unwrap().error, text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_traps_is_refused() {
    let apps = Apps::new();
    apps.write("bad/faulty.wasm", &plugin("faulty"));
    let manifest = "[leaf]\ncomponent = \"faulty.wasm\"\n[merge]\ncomponent = \"faulty.wasm\"\n\
                    [source]\nkind = \"list\"\npartitions = [{ key = \"ok\", data = \"\" }]\n";
    apps.write("bad/frond.toml", manifest.as_bytes());
    let served = apps.serve_unwatched().await;
    served.registry.remember(&served.current("bad"), &Bytes::from_static(br#"{"finish-fault": "trap"}"#));
    let (stage, text) = refusal(served.registry.put("bad", Role::Merge, marked("faulty", 1)).await);
    assert_eq!(stage, Stage::Canary, "{text}");
    assert!(text.starts_with("the merge failed: trap: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_only_the_serving_version_gives_refuses_the_change() {
    for (order, slug) in [
        ("unavailable", "the partition `unavailable` failed: unavailable: "),
        ("invalid-partition", "the partition `invalid-partition` failed: invalid-partition: "),
        ("invalid-query", "the partition failed: invalid-query: "),
    ] {
        let (_apps, served) = words(order).await;
        let (stage, text) = refusal(served.registry.put("words", Role::Leaf, plugin("faulty")).await);
        assert_eq!(stage, Stage::Canary, "{text}");
        assert!(text.starts_with(slug) && text.contains("version 1, which serves, answers the same query"), "{text}");
        assert_eq!(served.current("words").number, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_the_serving_version_shares_is_noted() {
    let (_apps, served) = faulty("unavailable", br"{}").await;
    let version = served.registry.put("bad", Role::Leaf, marked("faulty", 1)).await.unwrap();
    let canary = &version.view.checks.canary;
    assert!(canary.starts_with("noted: ") && canary.contains("unavailable"), "{canary}");
}

/// An app of the fault-injecting plugin, with this partition and another; `query` was its last
/// query.
async fn faulty(order: &str, query: &'static [u8]) -> (Apps, Served) {
    let apps = Apps::new();
    apps.write("bad/faulty.wasm", &plugin("faulty"));
    let manifest = format!(
        "[leaf]\ncomponent = \"faulty.wasm\"\n[merge]\ncomponent = \"faulty.wasm\"\n[source]\nkind = \"list\"\n\
         partitions = [{{ key = \"{order}\", data = \"\" }}, {{ key = \"ok-1\", data = \"\" }}]\n"
    );
    apps.write("bad/frond.toml", manifest.as_bytes());
    let served = apps.serve_unwatched().await;
    served.registry.remember(&served.current("bad"), &Bytes::from_static(query));
    (apps, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canary_merges() {
    let (_apps, served) = faulty("ok-0", br#"{"merge-fault": "trap"}"#).await;
    let (stage, text) = refusal(served.registry.put("bad", Role::Merge, marked("faulty", 1)).await);
    assert_eq!(stage, Stage::Canary, "{text}");
    assert!(text.starts_with("the merge failed: trap: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_cannot_read_the_leafs_partials_is_refused() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.remember(&served.current("pi"), &Bytes::from_static(b"{}"));
    let (stage, text) = refusal(served.registry.put("pi", Role::Merge, plugin("wordcount")).await);
    assert_eq!(stage, Stage::Canary, "{text}");
    assert!(text.starts_with("the merge failed: ") && text.contains("version 1, which serves"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_under_which_nothing_could_be_answered_is_refused() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.remember(&served.current("pi"), &Bytes::from_static(b"{}"));
    for key in ["require = [\"elsewhere\"]", "deadline = \"1us\""] {
        let manifest = PI.replace("deadline = \"20s\"", key);
        apps.write("pi/frond.toml", manifest.as_bytes());
        served.look().await;
        let refused = served.view("pi").refused.unwrap_or_else(|| panic!("{key} is not refused"));
        assert_eq!(refused.stage, Stage::Canary, "{}", refused.error);
        assert_eq!(served.current("pi").number, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_has_become_wrong_on_purpose_is_no_reason_to_refuse() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    // The query is invalid for pi, as if an earlier version had answered it.
    served.registry.remember(&served.current("pi"), &Bytes::from_static(b"no json"));
    apps.case("pi/cases/whole.toml", "outcome = \"complete\"");
    let version = served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    assert!(version.view.checks.canary.contains("invalid-query"), "{}", version.view.checks.canary);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_outlives_the_server_and_so_does_its_query() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.remember(&served.current("pi"), &Bytes::from_static(b"{}"));
    apps.write("pi/merge.wasm", &plugin("wordcount"));
    served.look().await;
    let refused = served.view("pi").refused.unwrap();
    assert_eq!((refused.stage, served.current("pi").number), (Stage::Canary, 1));
    served.close().await;

    let served = apps.serve_unwatched().await;
    assert_eq!(served.view("pi").refused, Some(refused.clone()), "the very same: it was not checked again");
    assert_eq!(served.current("pi").number, 1);
    served.look().await;
    let again = served.view("pi").refused.unwrap();
    assert_eq!(again.error, refused.error, "checked again, with the same query");
    assert!(again.at_unix_ms >= refused.at_unix_ms && served.current("pi").number == 1);

    apps.write("pi/merge.wasm", &marked("pi", 1));
    served.look().await;
    assert_eq!((served.view("pi").refused, served.current("pi").number), (None, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_query_it_is_skipped_and_that_is_said() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    assert!(served.current("pi").view.checks.canary.starts_with("skipped: no query"));
    served.registry.remember(&served.current("pi"), &Bytes::from_static(b"{}"));
    let version = served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    assert_eq!((version.view.checks.canary.as_str(), version.view.checks.cases.as_str()), ("passed", "none"));
}

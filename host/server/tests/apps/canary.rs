//! One partition is asked before all others are.

use bytes::Bytes;
use frond_run::Role;
use frond_server::apps::Stage;

use crate::kit::{Apps, Served, marked, plugin, refusal};

/// An app that counts words, one partition of which is an order to the plugin that misbehaves.
async fn words(order: &str) -> (Apps, Served) {
    let apps = Apps::new();
    apps.write("words/wordcount.wasm", &plugin("wordcount"));
    let manifest = format!(
        "[leaf]\ncomponent = \"wordcount.wasm\"\n[merge]\ncomponent = \"wordcount.wasm\"\n\
         [source]\nkind = \"list\"\npartitions = [{{ key = \"{order}\", data = \"one two two\" }}]\n\
         [query]\ndeadline = \"4s\"\n[limits.leaf]\nfuel = 300_000_000\n"
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
        ("spin", "out-of-fuel", "limits.leaf.fuel is 300,000,000; raise it with `[limits.leaf] fuel = …`"),
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
async fn what_a_component_is_not_to_blame_for_is_noted() {
    for (order, noted) in [("unavailable", "unavailable"), ("invalid-partition", "invalid-partition")] {
        let (_apps, served) = words(order).await;
        let version = served.registry.put("words", Role::Leaf, plugin("faulty")).await.unwrap();
        let canary = &version.view.checks.canary;
        assert!(canary.starts_with("noted: ") && canary.contains(noted), "{canary}");
    }
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

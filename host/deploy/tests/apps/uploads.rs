//! Uploaded components: served, removed, and rolled back.

use bytes::Bytes;
use frond_deploy::{ChangeError, Origin, Settings, Stage};
use frond_run::Role;

use crate::kit::{Apps, digest, garbage, marked, plugin, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_serves_until_it_is_taken_away() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    let version = served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    assert_eq!((version.number, version.view.leaf.origin), (2, Origin::Upload));
    assert_eq!(version.view.merge.origin, Origin::File);
    served.answer("pi").await;

    // The file that it overrides may change or disappear.
    apps.remove("pi/leaf.wasm");
    served.look().await;
    assert_eq!(served.current("pi").number, 2);
    let (_, text) = refusal(served.registry.delete("pi", Role::Leaf).await);
    assert!(text.contains("there is no file"), "{text}");

    apps.write("pi/leaf.wasm", &plugin("pi"));
    let version = served.registry.delete("pi", Role::Leaf).await.unwrap();
    assert_eq!((version.number, version.view.leaf.origin), (3, Origin::File));
    let same = served.registry.delete("pi", Role::Leaf).await.unwrap();
    assert_eq!(same.number, 3, "nothing is left to take away");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_twice_is_one_version() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    for _ in 0..2 {
        assert_eq!(served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap().number, 2);
    }
    // The same component as in the folder, but now independent of the folder.
    let version = served.registry.put("pi", Role::Merge, plugin("pi")).await.unwrap();
    assert_eq!((version.number, version.view.merge.origin), (2, Origin::Upload));
    apps.write("pi/merge.wasm", &marked("pi", 9));
    served.look().await;
    assert_eq!(served.current("pi").digest(Role::Merge), Some(digest(&plugin("pi"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_upload_is_refused_and_not_stored() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    let (stage, text) = refusal(served.registry.put("pi", Role::Leaf, garbage()).await);
    assert_eq!(stage, Stage::Validating);
    assert!(text.contains("`uploaded leaf`: is not WebAssembly"), "{text}");
    let (_, text) = refusal(served.registry.put("pi", Role::Merge, plugin("rail_leaf")).await);
    assert!(text.contains("does not export frond:plugin/merge-partials"), "{text}");
    let (_, text) = refusal(served.registry.put("pi", Role::Split, plugin("faulty")).await);
    assert!(text.contains("has no split component") && text.contains("[split]"), "{text}");
    let kept = std::fs::read_dir(apps.path(".frond/components")).unwrap().count();
    assert_eq!((kept, served.current("pi").number), (1, 1), "leaf and merge are one file");
    assert!(matches!(served.registry.put("no", Role::Leaf, garbage()).await, Err(ChangeError::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_bounded() {
    let apps = Apps::with_pi();
    let served = apps.serve_with(Settings { component_bytes: 100, ..apps.settings() }).await;
    let result = served.registry.put("pi", Role::Leaf, Bytes::from(vec![0; 101])).await;
    assert!(matches!(result, Err(ChangeError::TooLarge { size: 101, limit: 100 })), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_is_taken_where_the_app_is_split() {
    let apps = Apps::with_pi();
    apps.write("split/faulty.wasm", &plugin("faulty"));
    let part = |role| format!("[{role}]\ncomponent = \"faulty.wasm\"\n");
    let manifest = format!("{}{}{}[source]\nkind = \"split\"\n", part("leaf"), part("merge"), part("split"));
    apps.write("split/frond.toml", manifest.as_bytes());
    let served = apps.serve_unwatched().await;
    let version = served.registry.put("split", Role::Split, marked("faulty", 1)).await.unwrap();
    assert_eq!(version.digest(Role::Split), Some(digest(&marked("faulty", 1))));
    assert_eq!(crate::kit::answer(&version, r#"{"split": ["ok-1"]}"#).await.outcome(), "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_serves_the_version_before_until_something_changes() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    let none = served.registry.rollback("pi").await;
    assert!(matches!(none, Err(ChangeError::NoVersion { .. })), "{none:?}");

    apps.write("pi/leaf.wasm", &marked("pi", 1));
    served.look().await;
    assert_eq!(served.current("pi").number, 2);
    let back = served.registry.rollback("pi").await.unwrap();
    assert_eq!((back.number, back.digest(Role::Leaf)), (1, Some(digest(&plugin("pi")))));
    served.answer("pi").await;
    served.look().await;
    assert_eq!(served.current("pi").number, 1, "the folder is as it was");

    apps.write("pi/leaf.wasm", &marked("pi", 2));
    served.look().await;
    assert_eq!(served.current("pi").number, 3);
    assert_eq!(served.registry.rollback("pi").await.unwrap().number, 1, "what served before, not what counts before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_of_an_upload_takes_it_away() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    served.registry.put("pi", Role::Leaf, marked("pi", 2)).await.unwrap();
    let back = served.registry.rollback("pi").await.unwrap();
    assert_eq!((back.number, back.view.leaf.origin), (2, Origin::Upload));
    let back = served.registry.rollback("pi").await.unwrap();
    assert_eq!((back.number, back.view.leaf.origin), (1, Origin::File));
    apps.write("pi/frond.toml", crate::kit::PI.replace("20s", "9s").as_bytes());
    served.look().await;
    let version = served.current("pi");
    assert_eq!((version.number, version.view.leaf.origin), (4, Origin::File), "the bad upload does not come back");
}

//! State that survives a restart, and state that is dropped.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use frond_deploy::{Health, OpenError, Settings, Stage, StateError, Watching};
use frond_run::Role;

use crate::kit::{Apps, digest, garbage, marked, plugin};

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_numbers_outlive_the_server() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    served.close().await;

    let served = apps.serve_unwatched().await;
    let version = served.current("pi");
    assert_eq!((version.number, version.digest(Role::Leaf)), (2, Some(digest(&marked("pi", 1)))));
    assert_eq!(served.view("pi").versions.len(), 2);
    served.answer("pi").await;
    assert_eq!(served.registry.rollback("pi").await.unwrap().number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_outlives_the_server() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    served.look().await;
    served.registry.rollback("pi").await.unwrap();
    served.close().await;

    let served = apps.serve_unwatched().await;
    assert_eq!(served.current("pi").digest(Role::Leaf), Some(digest(&plugin("pi"))));
    assert_eq!(served.current("pi").number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_version_serves_although_its_folder_was_broken() {
    let apps = Apps::with_pi();
    apps.serve_unwatched().await.close().await;
    apps.write("pi/leaf.wasm", &garbage());
    apps.write("pi/merge.wasm", &garbage());
    let served = apps.serve_unwatched().await;
    let view = served.view("pi");
    assert_eq!((view.health, view.serving.unwrap().number), (Health::Serving, 1));
    assert!(view.refused.unwrap().error.contains("is not WebAssembly"));
    served.answer("pi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_versions_are_kept() {
    let apps = Apps::with_pi();
    let served = apps.serve_with(Settings { history: 3, watch: Watching::Off, ..apps.settings() }).await;
    for mark in 0..5 {
        served.registry.put("pi", Role::Leaf, marked("pi", mark)).await.unwrap();
    }
    let numbers: Vec<u64> = served.view("pi").versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [6, 5, 4]);
    let components = fs::read_dir(apps.path(".frond/components")).unwrap().count();
    assert_eq!(components, 4, "three leaves and one merge");
    for number in [5, 4] {
        assert_eq!(served.registry.rollback("pi").await.unwrap().number, number);
    }
    assert!(served.registry.rollback("pi").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_comes_back_has_its_past() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    fs::rename(apps.path("pi"), apps.path(".away")).unwrap();
    served.look().await;
    assert!(served.registry.app("pi").is_none());
    fs::rename(apps.path(".away"), apps.path("pi")).unwrap();
    served.look().await;
    assert_eq!(served.current("pi").number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_another_format_is_refused_and_left_alone() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.close().await;
    let ledger = fs::read_dir(apps.path(".frond/apps")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&ledger).unwrap().replace("format = 1", "format = 7");
    fs::write(&ledger, &text).unwrap();

    let served = apps.serve_unwatched().await;
    let why = served.view("pi").why();
    assert!(why.contains("it has the format 7, this Frond reads 1"), "{why}");
    assert!(served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.is_err());
    assert_eq!(fs::read_to_string(&ledger).unwrap(), text);
    assert_eq!(fs::read_dir(apps.path(".frond/components")).unwrap().count(), 1, "what it may need stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_was_damaged_is_not_served() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    served.close().await;
    let path = apps.path(&format!(".frond/components/{}.wasm", digest(&marked("pi", 1))));
    fs::write(&path, marked("pi", 2)).unwrap();
    let served = apps.serve_unwatched().await;
    let why = served.view("pi").why();
    assert!(why.contains("its content does not match the digest in its name"), "{why}");
    let version = served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    assert_eq!(version.number, 2, "the same as served before");
    served.answer("pi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_is_one_servers_own() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    let mode = fs::metadata(apps.path(".frond")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let second = apps.open(apps.settings()).await;
    assert!(matches!(second, Err(OpenError::State(StateError::Taken { .. }))));
    served.close().await;
    apps.serve_unwatched().await.close().await;

    fs::set_permissions(apps.path(".frond"), fs::Permissions::from_mode(0o777)).unwrap();
    let open = apps.open(apps.settings()).await;
    assert!(matches!(open, Err(OpenError::State(StateError::Open { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_is_removed_is_made_again_with_what_serves() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    served.registry.put("pi", Role::Leaf, marked("pi", 1)).await.unwrap();
    fs::remove_dir_all(apps.path(".frond")).unwrap();
    served.look().await;
    assert_eq!(served.current("pi").number, 2);
    let second = apps.open(apps.settings()).await;
    assert!(matches!(second, Err(OpenError::State(StateError::Taken { .. }))), "it is this server's again");
    fs::remove_dir_all(apps.path(".frond")).unwrap();
    served.registry.put("pi", Role::Merge, marked("pi", 3)).await.unwrap();
    served.close().await;

    let served = apps.serve_unwatched().await;
    let version = served.current("pi");
    let digests = (version.digest(Role::Leaf), version.digest(Role::Merge));
    assert_eq!(digests, (Some(digest(&marked("pi", 1))), Some(digest(&marked("pi", 3)))));
    assert_eq!(version.number, 3);
    served.answer("pi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_stored_says_so_and_serves_later() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    // Like a full disk, but for components only.
    let components = apps.path(".frond/components");
    fs::rename(&components, apps.path(".frond/aside")).unwrap();
    fs::write(&components, b"no folder").unwrap();
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    served.look().await;
    let refused = served.view("pi").refused.unwrap();
    assert_eq!((refused.stage, served.current("pi").number), (Stage::Storing, 1));
    assert!(refused.error.contains("cannot ") && refused.error.contains("components"), "{}", refused.error);
    fs::remove_file(&components).unwrap();
    fs::rename(apps.path(".frond/aside"), &components).unwrap();
    served.look().await;
    assert_eq!((served.view("pi").refused, served.current("pi").number), (None, 2));
}

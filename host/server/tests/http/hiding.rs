//! Clients do not learn the locations of the server's folders.

use reqwest::Method;

use crate::common::{ENVELOPE, Served, app, apps, by_key, config, send};

#[tokio::test(flavor = "multi_thread")]
async fn replies_name_files_from_the_folder_of_apps_on() {
    let folder = apps();
    let source = "[source]\nkind = \"files\"\nglob = \"read-source-*\"\n";
    app(folder.path(), "files", &format!("{source}[query]\ndeadline = \"30s\"\nfloor = \"best-effort\"\n"));
    std::os::unix::fs::symlink("nowhere", folder.path().join("files/read-source-1")).unwrap();
    app(folder.path(), "empty", "[source]\nkind = \"files\"\nglob = \"none/*\"\n");
    app(folder.path(), "broken", "[sauce]\n");
    let place = folder.path().to_str().unwrap().to_owned();
    let served = Served::of(folder, config()).await;
    let get = async |path: &str| served.get(path).await.text();
    let broken = get("/v1/apps/broken").await;
    assert!(broken.contains("\"broken/frond.toml"), "{broken}");
    let envelope = send(served.query("files", "{}").header("accept", ENVELOPE)).await.text();
    assert!(envelope.contains("cannot read `files/read-source-1`"), "{envelope}");
    let refused = send(served.request(Method::PUT, "/v1/apps/caller/leaf").body("no component")).await;
    let empty = served.ask("empty", "{}").await.text();
    let unserved = served.ask("broken", by_key(&["ok"])).await.text();
    let replies = [
        broken,
        envelope,
        empty,
        unserved,
        refused.text(),
        served.ask("files", "{}").await.text(),
        get("/v1/apps").await,
        get("/v1/queries").await,
        get("/v1/jobs").await,
        get("/v1/server").await,
    ];
    for reply in replies {
        assert!(!reply.contains(&place), "{reply}");
    }
}

//! The page's files, health checks, and the server's description of itself.

use reqwest::Method;
use serde_json::json;

use crate::common::{Served, by_key, send};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_sent_once_and_then_only_when_it_has_changed() {
    let served = Served::new().await;
    let page = served.get("/").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("cache-control"), "no-cache");
    let known = served.request(Method::GET, "/").header("if-none-match", page.header("etag"));
    let again = send(known).await.expect(304);
    assert!(again.body.is_empty());
    for path in ["/page/../Cargo.toml", "/page/%2e%2e/Cargo.toml", "/page/", "/page//", "/page/\u{0}"] {
        served.get(&path.replace('\u{0}', "%00")).await.problem(404, "not-found", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_it_is() {
    let served = Served::new().await;
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    let about = served.json("/v1/server").await;
    assert_eq!((&about["slots"], &about["apps"], &about["auth"]), (&json!(4), &json!(3), &json!(false)));
    assert_eq!(about["queries"], json!({ "running": 0, "total": 1 }));
    assert_eq!(served.get("/healthz").await.expect(200).text(), "ok\n");
    assert_eq!(served.get("/readyz").await.expect(200).text(), "ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_say_how_their_queries_went() {
    let served = Served::new().await;
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    served.ask("caller", by_key(&["ok", "trap"])).await.expect(200);
    served.ask("caller", by_key(&["trap"])).await.expect(504);
    served.ask("caller", "{").await.expect(422);
    let app = served.json("/v1/apps/caller").await;
    assert_eq!(app["queries"], json!({ "total": 4, "running": 0, "complete": 1, "partial": 1, "failed": 2 }));
    assert_eq!((&app["name"], &app["health"]), (&json!("caller"), &json!("serving")));
    let names = served.json("/v1/apps").await;
    let names: Vec<_> = names["apps"].as_array().unwrap().iter().map(|app| app["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["caller", "split", "strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_broken_says_why_and_the_others_serve() {
    let folder = crate::common::apps();
    let dir = folder.path().join("broken");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("frond.toml"), "[leaf]\ncomponent = \"gone.wasm\"\n").unwrap();
    let served = Served::of(folder, crate::common::config()).await;
    let reply = served.ask("broken", "").await;
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    reply.problem(503, "unavailable", "`broken` has no version that could answer");
    assert_eq!(served.json("/v1/apps/broken").await["health"], "broken");
    served.ask("caller", by_key(&["ok"])).await.expect(200);
}

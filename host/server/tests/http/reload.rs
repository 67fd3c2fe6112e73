//! Reload of settings: tokens and limits change, other settings do not.

use frond_server::Order;
use frond_server::config::{Config, Role, Size};
use reqwest::Method;

use crate::common::{Served, by_key, config, send, token, within};

async fn reload(served: &Served, config: Config) {
    served.order(Order::Reload(Box::new(config))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_reloaded() {
    let (first, entry) = token("first", Role::Query);
    let served = Served::with(Config { tokens: vec![entry], ..config() }).await.holding(&first);
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    let running = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
    served.leaves(1).await;
    let (second, entry) = token("second", Role::Query);
    reload(&served, Config { tokens: vec![entry], ..config() }).await;
    within(async { while served.get("/v1/server").await.status != 401 {} }).await;
    let served = served.holding(&second);
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    // A running query outlives its token. The leaf that has just answered may be counted a moment
    // longer.
    served.leaves(1).await;
    running.abort();
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_reloaded() {
    let served = Served::new().await;
    let mut smaller = config();
    smaller.limits.query = Size(10);
    reload(&served, smaller).await;
    within(async { while served.ask("caller", by_key(&["ok"])).await.status != 413 {} }).await;
    let mut fewer = config();
    fewer.limits.queries = 1;
    reload(&served, fewer).await;
    within(async { while served.ask("caller", by_key(&["ok"])).await.status != 200 {} }).await;
    let running = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
    served.leaves(1).await;
    served.ask("caller", by_key(&["ok"])).await.problem(503, "overloaded", "");
    reload(&served, config()).await;
    within(async { while served.ask("caller", by_key(&["ok"])).await.status != 200 {} }).await;
    running.abort();
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_reloaded() {
    let served = Served::new().await;
    let page = "https://page.example";
    reload(&served, Config { cors: vec![page.to_owned()], ..config() }).await;
    let allowed = || async {
        let reply = send(served.request(Method::GET, "/healthz").header("origin", page)).await;
        reply.header("access-control-allow-origin") == page
    };
    within(async { while !allowed().await {} }).await;
    send(served.query("caller", by_key(&["ok"])).header("origin", page)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_leave_the_old_ones() {
    let (secret, entry) = token("first", Role::Query);
    let served = Served::with(Config { tokens: vec![entry.clone()], ..config() }).await.holding(&secret);
    let mut wrong = entry.clone();
    wrong.sha256 = "x".to_owned();
    reload(&served, Config { tokens: vec![wrong], ..config() }).await;
    // Reloads are applied in order: once the second is in force, the invalid one has been refused.
    let (other, second) = token("second", Role::Query);
    reload(&served, Config { tokens: vec![entry, second], ..config() }).await;
    let served = served.holding(&other);
    within(async { while served.get("/v1/server").await.status != 200 {} }).await;
    served.holding(&secret).get("/v1/server").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_others_reach_is_not_opened_by_a_reload() {
    let (secret, entry) = token("first", Role::Query);
    let reachable = Config { listen: "0.0.0.0:0".parse().unwrap(), tokens: vec![entry.clone()], ..config() };
    let mut served = Served::with(reachable.clone()).await.holding(&secret);
    served.url = served.url.replace("0.0.0.0", "127.0.0.1");
    // The server keeps its address, whatever the new settings say.
    reload(&served, config()).await;
    let (other, second) = token("second", Role::Query);
    reload(&served, Config { tokens: vec![entry, second], ..reachable }).await;
    let mut served = served.holding(&other);
    within(async { while served.get("/v1/server").await.status != 200 {} }).await;
    served.token = None;
    served.get("/v1/server").await.expect(401);
}

//! Grants of environment, files and values: without one there is none; and the effect of
//! `deterministic` on clocks and randomness.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use frond_root::Request;
use frond_root::call::{Directory, Grants, InstanceMode, Limits};
use frond_sandbox::{GuestGrants, Leaf, LeafHost, Role};
use serde_json::{Value, json};

use common::{App, Host, PATIENCE, guest, plan};

fn app(host: &Host, deterministic: bool) -> App {
    let plugin = host.plugin(&guest("faulty"), &[Role::Leaf], true);
    App {
        leaves: LeafHost::new(
            host.slots.clone(),
            Leaf {
                plugin,
                limits: Limits::default(),
                deterministic,
                grants: Arc::default(),
                instance: InstanceMode::Fresh,
            },
        ),
        ..host.faulty(Limits::default(), Limits::default())
    }
}

/// Returns the report of each leaf.
fn reports(host: &Host, app: &App, query: &Value, keys: [&str; 2]) -> [Value; 2] {
    let request: Request = app.request(&query.to_string());
    let asked = host.runtime.block_on(app.ask(request, plan(keys)));
    let mut answer = asked.json();
    keys.map(|key| answer["reports"][key].take())
}

#[test]
fn nothing_is_granted() {
    let host = Host::new(1, Limits::default());
    let [report, _] = reports(&host, &app(&host, false), &json!({ "fault": "env" }), ["a", "b"]);
    assert_eq!(report, json!({}));
}

#[test]
fn clocks_and_randomness_are_real() {
    let host = Host::new(1, Limits::default());
    let [a, b] = reports(&host, &app(&host, false), &json!({ "fault": "clock" }), ["a", "b"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seconds = a["now_ms"].as_u64().unwrap() / 1000;
    assert!(now.abs_diff(seconds) < 600, "{seconds} and {now}");
    assert_ne!(a["random"], b["random"]);
    assert_ne!(a["insecure"], b["insecure"]);
}

#[test]
fn deterministic_leaves_see_what_their_query_and_partition_give() {
    let host = Host::new(2, Limits::default());
    let app = app(&host, true);
    let ask = |nonce: u32| reports(&host, &app, &json!({ "fault": "clock", "nonce": nonce }), ["a", "b"]);
    let [first, again, other] = [ask(1), ask(1), ask(2)];
    assert_eq!(first, again);
    assert_ne!(first[0]["random"], first[1]["random"]);
    assert_ne!(first[0]["random"], other[0]["random"]);
    assert_ne!(first[0]["insecure"], first[1]["insecure"]);
    assert_eq!(first[0]["now_ms"], first[1]["now_ms"]);
}

/// Makes a granted folder with a file, beside a secret, and with links out of it.
fn folders() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("granted/below")).unwrap();
    std::fs::write(path("granted/below/fares.csv"), "York,60").unwrap();
    std::fs::write(path("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(path("secret"), path("granted/absolute")).unwrap();
    std::os::unix::fs::symlink("../secret", path("granted/relative")).unwrap();
    std::os::unix::fs::symlink("..", path("granted/up")).unwrap();
    std::os::unix::fs::symlink("below/fares.csv", path("granted/inside")).unwrap();
    folder
}

#[test]
fn a_granted_folder_is_read_and_nothing_else() {
    let host = Host::new(1, Limits::default());
    let folder = folders();
    let directory = Directory { host: folder.path().join("granted"), guest: "/data".to_owned() };
    let app = host.granted(Grants { directories: vec![directory], ..Grants::default() });
    let files = |path: &str| app.obey(&host, &format!("files:{path}"), PATIENCE).report();
    let readable = |content: Value| {
        json!({
            "read": content, "listed": true, "write": false, "append": false, "create": false, "create-dir": false,
            "rename": false, "link": false, "remove": false, "remove-dir": false,
        })
    };
    assert_eq!(files("/data/below/fares.csv"), readable(json!("York,60")));
    assert_eq!(files("/data/inside"), readable(json!("York,60")));
    for outside in ["/data/absolute", "/data/relative", "/data/nowhere"] {
        assert_eq!(files(outside), readable(Value::Null), "{outside}");
    }
    for outside in ["/data/../secret", "/data/up/secret", "/secret", "/etc/passwd", "/data/below/../../secret"] {
        assert_eq!(files(outside)["read"], Value::Null, "{outside}");
        assert_eq!(files(outside)["remove-dir"], false, "{outside}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("granted/below/fares.csv")).unwrap(), "York,60");
    assert_eq!(std::fs::read_dir(folder.path().join("granted")).unwrap().count(), 5);
}

#[test]
fn a_granted_folder_that_has_gone_is_named() {
    let host = Host::new(1, Limits::default());
    let folder = folders();
    let directory = Directory { host: folder.path().join("gone"), guest: "/data".to_owned() };
    let app = host.granted(Grants { directories: vec![directory], ..Grants::default() });
    // A guest that opens no file does not notice.
    assert_eq!(app.obey(&host, "panic", PATIENCE).slug(), "trap");
    let failure = app.obey(&host, "read-file:/data/fares.csv", PATIENCE).failure();
    assert_eq!(failure.kind.slug(), "host-call-denied");
    assert!(failure.message.starts_with("the folder granted as /data cannot be opened: "), "{failure}");
}

#[test]
fn granted_values_are_seen_and_no_others() {
    let host = Host::new(1, Limits::default());
    let pairs = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let grants = GuestGrants {
        env: vec![pairs("LANG", "en_GB")],
        ..Grants { config: [pairs("currency", "GBP")].into(), ..Grants::default() }.into()
    };
    let granted = host.granted(grants);
    let config = |app: &App, key: &str| app.obey(&host, &format!("config:{key}"), PATIENCE).report();
    assert_eq!(config(&granted, "currency"), json!({ "value": "GBP", "env": { "LANG": "en_GB" } }));
    assert_eq!(config(&granted, "other"), json!({ "value": null, "env": { "LANG": "en_GB" } }));
    assert_eq!(config(&host.granted(Grants::default()), "currency"), json!({ "value": null, "env": {} }));
}

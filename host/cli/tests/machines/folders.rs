//! Machines with a missing, shared or read-only folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::kit::{Folder, frond, skip};
use crate::server::Server;

#[test]
fn without_a_home_a_warning_says_how_to_keep_what_is_compiled() {
    let ask = |name: &str, value: &str| {
        let asked = frond(["query", "examples/pi", r#"{"seed":1}"#, "--deadline", "30s"]).env("FROND_CACHE", "");
        asked.env("HOME", "").env("XDG_CACHE_HOME", "").env(name, value).run().expect(0).err()
    };
    let text = ask("HOME", "");
    assert_eq!(text.matches("warning: ").count(), 1, "{text}");
    assert!(text.contains("neither HOME nor XDG_CACHE_HOME is set\n(FROND_CACHE=DIR names a folder"), "{text}");
    let home = Folder::new();
    assert!(!ask("HOME", &home.dir().display().to_string()).contains("warning"));
    assert!(home.path(".cache/frond").is_dir());
}

#[test]
fn a_volume_that_others_may_write_to_gets_a_folder_of_its_own() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"");
    // As Kubernetes' `fsGroup` sets up a volume: writable by the group, which also owns new files.
    for name in ["cache", "state"] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o2775)).unwrap();
    }
    folder.write("server.toml", "state = \"state\"\nwatch = false\n");
    let serve = folder.frond("serve . --config server.toml --listen 127.0.0.1:0");
    let mut server = serve.env("FROND_CACHE", folder.path("cache")).start();
    server.wait_for("  app\n").signal("TERM");
    let log = server.end().expect(0).err();
    assert!(!log.contains("compiled again"), "{log}");
    for name in ["cache", "state"] {
        let found: Vec<_> = fs::read_dir(folder.path(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [own] = &found[..] else { panic!("{name}: {found:?}") };
        assert!(own.file_name().unwrap().to_string_lossy().starts_with("frond-"), "{own:?}");
        assert_eq!(fs::metadata(own).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(fs::read_dir(own).unwrap().next().is_some(), "{own:?} is empty");
    }
}

/// Script that makes a folder read-only, changes to it, and becomes the given command.
const READ_ONLY: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && cd \"$0\" && ! touch file 2>/dev/null && exec \"$@\"";
const OWN_MOUNTS: [&str; 5] = ["--user", "--map-root-user", "--mount", "sh", "-c"];

#[test]
fn apps_in_a_folder_that_is_read_only_are_served() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"");
    let read_only = OWN_MOUNTS.into_iter().chain([READ_ONLY, folder.dir().to_str().unwrap()]);
    if !Command::new("unshare").args(read_only.clone()).arg("true").status().is_ok_and(|status| status.success()) {
        return skip("this machine lets nobody have mounts of their own (unshare --user --mount)");
    }
    let state = Folder::new();
    let serve = folder.frond("serve . --listen 127.0.0.1:0").env("XDG_STATE_HOME", state.dir());
    let server = Server::by(serve.through("unshare", read_only));
    let order = r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#;
    let (status, answer) = server.ask("POST", "/v1/apps/app/query", order);
    assert_eq!(status, 200, "{answer}");
    // The server's state has another folder.
    let submit = ["jobs", "submit", "app", order, "--watch", "--server", &format!("http://{}", server.address)];
    assert_eq!(frond(submit).run().expect(0).out(), answer);
    let log = server.end();
    assert!(log.contains("Read-only file system") && log.contains("set `state` in the settings"), "{log}");
    let folders: Vec<_> = fs::read_dir(state.path("frond")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [own] = &folders[..] else { panic!("{folders:?}") };
    assert!(fs::read_dir(own).unwrap().next().is_some(), "{own:?} is empty");
    assert!(!folder.path(".frond").exists());
}

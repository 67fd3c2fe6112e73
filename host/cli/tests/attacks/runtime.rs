//! Attacks by guests on the server's own resources: its threads, and the memory of its texts.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::json;

use crate::stage::{Attack, Ground, ordering, size};
use crate::wat;

/// Creates a named pipe.
pub(crate) fn pipe(path: &std::path::Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success(), "{made}");
}

/// A named pipe without a writer, opened in a granted folder.
pub(crate) fn named_pipe(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[[grants.directories]]\nhost = \"data\"\nguest = \"/data\"";
    let ground = Ground::evil(rest);
    ground.folder.write("apps/evil/data/file", "x");
    pipe(&ground.folder.path("apps/evil/data/pipe"));
    let stage = ground.attack(attack);
    for _ in 0..size(4, 40) {
        let reply = stage.obey("files:/data/pipe", 16);
        assert!(matches!(reply.status, 200 | 504), "{}", reply.shown());
    }
    stage.look();
    stage.end();
}

/// Traps deep in calls of functions with long names of escaped characters.
pub(crate) fn failure_texts(attack: Attack) {
    let mut functions = String::new();
    for number in 0..40 {
        let name = format!("{}{number}", "\\01".repeat(20_000));
        let call = if number == 0 { "unreachable".to_owned() } else { format!("(call {})", number - 1) };
        let _ = write!(functions, "(func $\"{name}\" {call})");
    }
    let component = wat::leaf(&functions, "(call 39) (i32.const 16)");
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n");
    let text = "content-type = \"application/json\"\n[leaf]\ncomponent = \"leaf.wasm\"\n[merge]\ncomponent = \"faulty.wasm\"\n\
                [source]\nkind = \"query\"\n[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n";
    ground.folder.write("apps/evil/frond.toml", text);
    ground.folder.write("apps/evil/leaf.wasm", component);
    let stage = ground.attack(attack);
    let body = ordering(&json!({}), size(200, 2_000));
    let reply = stage.query("evil", &body);
    assert!(reply.text().contains("trap"), "{}", reply.shown());
    assert!(reply.body.len() < 1 << 20, "an answer of {} bytes", reply.body.len());
    let id = stage.ask("POST", "/v1/apps/evil/jobs", "", body.as_bytes()).expect(202, "").json();
    let id = id["id"].as_str().unwrap().to_owned();
    stage.until("the job has ended", |stage| {
        stage.get(&format!("/v1/jobs/{id}?wait=5s")).json()["finished_unix_ms"].is_u64()
    });
    for what in ["", "/events"] {
        let reply = stage.get(&format!("/v1/jobs/{id}{what}"));
        assert!(reply.body.len() < 8 << 20, "{what}: {} bytes", reply.body.len());
    }
    let kept = stored(&stage.ground.folder.path("apps/.frond"));
    assert!(kept < 64 << 20, "{kept} bytes are kept");
    stage.end();
}

/// Returns the bytes of all files under a folder.
fn stored(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| if entry.path().is_dir() { stored(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

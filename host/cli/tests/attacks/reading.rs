//! Attacks by files in the folders of apps: special, endless, or ever changing.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::kit::plugin;
use crate::runtime::pipe;
use crate::stage::{Attack, Ground, Stage, manifest, size};

const SOURCE: &str = "[source]\nkind = \"query\"\n[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"";

/// Asserts that an app that is added to a running server gets served.
#[track_caller]
fn takes_another(stage: &Stage) {
    let folder = &stage.ground.folder;
    std::fs::create_dir_all(folder.path("apps/late")).unwrap();
    std::fs::copy(plugin("faulty"), folder.path("apps/late/faulty.wasm")).unwrap();
    folder.write("apps/late/frond.toml", manifest("faulty", SOURCE));
    stage.until("an app that comes later serves", |stage| {
        stage.query("late", r#"{"query":{},"partitions":[{"key":"ok","data":""}]}"#).status == 200
    });
}

/// Runs the attack by one case that cannot be read to its end, in an app that exists from the
/// start.
fn case(attack: Attack, named: &str, make: impl Fn(&Ground)) {
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"");
    std::fs::create_dir_all(ground.folder.path("apps/evil/cases")).unwrap();
    make(&ground);
    let stage = ground.attack(attack);
    takes_another(&stage);
    let reply = stage.get("/v1/apps/evil");
    assert!(reply.text().contains(named), "the file is named: {}", reply.shown());
    stage.end();
}

pub(crate) fn pipe_as_case(attack: Attack) {
    case(attack, "x.toml", |ground| pipe(&ground.folder.path("apps/evil/cases/x.toml")));
}

pub(crate) fn endless_case(attack: Attack) {
    case(attack, "x.toml", |ground| symlink("/dev/zero", ground.folder.path("apps/evil/cases/x.toml")).unwrap());
}

pub(crate) fn endless_query_file(attack: Attack) {
    case(attack, "zero", |ground| {
        let text = "query-file = \"zero\"\npartition = \"\"\n[expect]\ntext = \"\"\n";
        ground.folder.write("apps/evil/cases/x.toml", text);
        symlink("/dev/zero", ground.folder.path("apps/evil/cases/zero")).unwrap();
    });
}

/// A manifest that is written without a pause.
pub(crate) fn restless_file(attack: Attack) {
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"");
    let path = ground.folder.path("apps/evil/frond.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let stage = ground.attack(attack);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::create(&path).unwrap();
            for number in 0_u64.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                file.rewind().unwrap();
                writeln!(file, "{text}# {number}").unwrap();
                thread::sleep(std::time::Duration::from_micros(500));
            }
        });
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| takes_another(&stage)));
        over.store(true, Ordering::Relaxed);
        taken.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    stage.end();
}

/// A jobs store whose database is no database.
pub(crate) fn damaged_store(attack: Attack) {
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"");
    let store = ground.folder.path("apps/.frond/jobs");
    std::fs::create_dir_all(&store).unwrap();
    for folder in ["apps/.frond", "apps/.frond/jobs"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(ground.folder.path(folder), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::write(store.join("jobs.db"), vec![0x55; 1 << 20]).unwrap();
    let stage = ground.attack(attack);
    stage.obey("ok", 2).expect(200, "\"complete\":true");
    stage.ask("POST", "/v1/apps/evil/jobs", "", br#"{"query":{},"partitions":[]}"#).expect(503, "");
    stage.end();
}

/// Manifests that are huge, deeply nested, or links in a cycle.
pub(crate) fn manifests(attack: Attack) {
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"");
    let write = |name: &str, text: &str| drop(ground.folder.write(&format!("apps/{name}/frond.toml"), text));
    write("deep-array", &format!("name = {}", "[".repeat(200_000)));
    write("deep-table", &format!("{}x = 1", "a.".repeat(200_000)));
    write("deep-inline", &format!("name = {}", "{a=".repeat(100_000)));
    write("long-name", &format!("name = \"{}\"", "x".repeat(1_000_000)));
    write("many-keys", &(0..70_000).map(|key| format!("key{key} = 1\n")).collect::<String>());
    let valid = |source: &str| manifest("faulty", &format!("[source]\n{source}\n"));
    let entries = |count: usize, entry: fn(usize) -> String| (0..count).map(entry).collect::<String>();
    let list = |count: usize| {
        format!("kind = \"list\"\npartitions = [{}]", entries(count, |at| format!("{{key=\"{at}\",data=\"\"}},")))
    };
    write("long-list", &valid(&list(40_000)));
    write("longer-list", &valid(&list(600_000)));
    write(
        "long-glob",
        &valid(&format!("kind = \"files\"\nglob = \"{{{}}}\"", entries(60_000, |at| format!("a{at}*b?[c-d],")))),
    );
    write(
        "deep-glob",
        &valid(&format!("kind = \"files\"\nglob = \"{}{}\"", "{".repeat(500), "}".repeat(500)).replace("{}", "{a}")),
    );
    write("no-text", "\0\u{1b}[2J");
    let huge = ground.folder.write("apps/huge/frond.toml", "");
    File::options().write(true).open(huge).unwrap().set_len(1 << 36).unwrap();
    std::fs::create_dir_all(ground.folder.path("apps/circle")).unwrap();
    symlink("frond.toml", ground.folder.path("apps/circle/frond.toml")).unwrap();
    symlink(".", ground.folder.path("apps/self")).unwrap();
    symlink("/", ground.folder.path("apps/everything")).unwrap();
    let stage = ground.attack(attack);
    takes_another(&stage);
    let listed = stage.get("/v1/apps");
    assert!(listed.body.len() < 1 << 20, "{} bytes", listed.body.len());
    assert!(!listed.text().contains('\u{1b}'), "{}", listed.shown());
    stage.end();
}

/// More folders than the limit on apps, and more files beside one than are read.
pub(crate) fn crowds(attack: Attack) {
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"");
    for number in 0..size(300, 3_000) {
        ground.folder.write(&format!("apps/none-{number}/frond.toml"), "[leaf]\ncomponent = \"none.wasm\"\n");
    }
    for number in 0..size(2_000, 20_000) {
        ground.folder.write(&format!("apps/evil/beside/{number}"), "");
    }
    let stage = ground.attack(attack);
    if size(0, 1) == 0 {
        takes_another(&stage);
    }
    stage.end();
}

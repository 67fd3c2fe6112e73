//! Attacks by components: costly to inspect, compile or load, and tampered compiled code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::kit::{hostile, plugin};
use crate::stage::{Attack, Ground, Stage, ordering, size};
use crate::wat;

const OBEYS: &str = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"";

/// Uploads a component as the leaf of `evil`.
#[track_caller]
fn upload(stage: &Stage, component: &[u8]) -> crate::wire::Reply {
    stage.ask("PUT", "/v1/apps/evil/leaf", "", component)
}

/// Asserts that each component is refused, and that the app still answers.
#[track_caller]
fn refused(stage: &Stage, components: &[(String, Vec<u8>)]) {
    for (what, component) in components {
        let reply = upload(stage, component);
        assert!(matches!(reply.status, 413 | 422), "{what}: {}", reply.shown());
        assert!(reply.body.len() < 64 << 10, "{what}: {}", reply.shown());
        stage.obey("ok", 2).expect(200, "\"complete\":true");
    }
}

pub(crate) fn hostile(attack: Attack) {
    // The largest components take 100 MiB to send, and are read into memory up to the limit on
    // uploads.
    let most = size(8 << 20, usize::MAX);
    let components = hostile::all().into_iter().filter(|(_, component)| component.len() <= most);
    let components: Vec<_> = components.map(|(what, component)| (what.to_owned(), component)).collect();
    let stage = Ground::evil(OBEYS).budget(768).attack(attack);
    refused(&stage, &components);
    stage.end();
}

/// Uploads of bytes that are no component, or only part of one.
pub(crate) fn junk(attack: Attack) {
    let good = std::fs::read(plugin("faulty")).unwrap();
    let mut components = vec![
        ("nothing".to_owned(), Vec::new()),
        ("text".to_owned(), b"fn main() {}".to_vec()),
        ("zeros".to_owned(), vec![0; 1 << 20]),
        ("a program".to_owned(), std::fs::read("/bin/true").unwrap()),
    ];
    for number in 0..size(16, 400) {
        // A multiplier of a linear congruential generator spreads the positions.
        let at = (number.wrapping_mul(2_862_933_555_777_941_757) >> 8) % good.len();
        components.push((format!("the first {at} bytes"), good[..at].to_vec()));
        let mut changed = good[..good.len() - at % 1000 - 1].to_vec();
        let place = at % changed.len();
        changed[place] ^= 0x80;
        components.push((format!("a bit of byte {place}, and an end cut off"), changed));
    }
    let stage = Ground::evil(OBEYS).attack(attack);
    refused(&stage, &components);
    stage.end();
}

/// A component of two functions, each with tiny loops over many locals.
pub(crate) fn compile_bomb(attack: Attack) {
    let loops = 50_000;
    let locals = 1_000;
    let mut functions = String::new();
    for name in ["$one", "$two"] {
        let _ = write!(functions, "(func {name} (param i32) (result i32) (local {})", "i32 ".repeat(locals));
        for number in 0..loops {
            let one = number % locals;
            let other = (number * 7919 + 1) % locals;
            let _ =
                write!(functions, "(loop (local.get {one}) (local.get {other}) i32.add (local.tee {other}) (br_if 0))");
        }
        functions.push_str("(local.get 0))");
    }
    let component = wat::leaf(&functions, wat::OK);
    let stage = Ground::evil(OBEYS).attack(attack);
    let reply = upload(&stage, &component).expect(422, "");
    assert!(reply.text().contains("locals") || reply.text().contains("compil"), "{}", reply.shown());
    // The upload of another app still gets its turn to compile.
    let again = std::fs::read(plugin("wordcount")).unwrap();
    stage.ask("PUT", "/v1/apps/neighbour/leaf", "", &again).expect(200, "");
    stage.end();
}

/// Nested components, each with two instances of the inner one: 2 to the power of 40 instances in a
/// few bytes.
pub(crate) fn doubling(attack: Attack) {
    let mut inner = "(component $c (core module $m) (core instance (instantiate $m)))".to_owned();
    for _ in 0..40 {
        inner = format!("(component $c {inner} (instance (instantiate $c)) (instance (instantiate $c)))");
    }
    let body = wat::text(&format!("{inner} (instance (instantiate $c))"), "", "", wat::OK);
    let component = wat::assemble(&body);
    assert!(component.len() < 8 << 10);
    let ground = Ground::evil(OBEYS);
    // Once as a file that exists at the start, and once as an upload.
    let manifest = crate::stage::manifest("faulty", "[source]\nkind = \"query\"\n");
    ground.folder.write("apps/doubles/frond.toml", manifest.replacen("faulty.wasm", "doubles.wasm", 1));
    ground.folder.write("apps/doubles/doubles.wasm", &component);
    std::fs::copy(plugin("faulty"), ground.folder.path("apps/doubles/faulty.wasm")).unwrap();
    let stage = ground.attack(attack);
    upload(&stage, &component).expect(422, "instances");
    stage.get("/v1/apps/doubles").expect(200, "instances");
    stage.end();
}

/// Returns the compiled code under a folder.
fn compiled(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { compiled(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

/// Compiled code in the cache with other bytes at the next start.
pub(crate) fn cache_tampering(attack: Attack) {
    let ground = Ground::evil(OBEYS).own_cache();
    let cache = ground.folder.path("cache");
    let ask = || {
        let asked = ground.folder.frond("query apps/evil").arg(ordering(&serde_json::json!({}), 2));
        asked.env("FROND_CACHE", &cache).run().expect(0);
    };
    ask();
    let files = compiled(&cache);
    assert!(!files.is_empty(), "nothing is cached");
    for file in &files {
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xcc);
        std::fs::remove_file(file).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    ask();
    let stage = ground.attack(attack);
    stage.obey("ok", 4).expect(200, "\"complete\":true");
    stage.end();
}

/// Compiled code that is truncated in place while it serves.
pub(crate) fn cache_truncation(attack: Attack) {
    let ground = Ground::evil(OBEYS).own_cache();
    // A server holds code that it compiled itself in memory; this one loads it from the cache.
    let asked = ground.folder.frond("query apps/evil").arg(ordering(&serde_json::json!({}), 2));
    asked.env("FROND_CACHE", ground.folder.path("cache")).run().expect(0);
    let stage = ground.attack(attack);
    stage.obey("ok", 4).expect(200, "\"complete\":true");
    let files = compiled(&stage.ground.folder.path("cache"));
    assert!(!files.is_empty(), "nothing is cached");
    for file in files {
        std::fs::File::options().write(true).open(file).unwrap().set_len(0).unwrap();
    }
    for command in ["ok", "trap", "recurse", "say:it", "env", "read-source"] {
        stage.obey(command, 8);
    }
    stage.look();
    stage.end();
}

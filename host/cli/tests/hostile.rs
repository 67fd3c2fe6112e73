//! Hostile components: every verb that reads one reports it safely and in bounded length.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use kit::{Folder, hostile, plain};

/// Limit on the output of a verb on one component, in bytes.
const MOST: usize = 20_000;

#[test]
fn every_verb_refuses_them_shortly_and_safely() {
    let mut all = String::new();
    for (what, wasm) in hostile::all() {
        let folder = Folder::new();
        folder.write("app/leaf.wasm", wasm);
        folder.write("app/frond.toml", "[leaf]\ncomponent = \"leaf.wasm\"\n");
        folder.write("app/cases/one.toml", "partition = \"\"\n[expect]\ntext = \"\"\n");
        for (verb, code) in [("build app", 64), ("test app", 64), ("test app/leaf.wasm", 64), ("inspect app", 1)] {
            let ended = folder.frond(verb).run().expect(code);
            let text = ended.out() + &ended.err();
            assert!(text.len() < MOST, "{what}: {verb}: {} bytes", text.len());
            let raw = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(raw), "{what}: {verb}: {text:?}");
            if verb == "build app" {
                all += &format!("== {what}\n{}\n", plain(&ended.err()).trim_end());
            }
        }
    }
    insta::assert_snapshot!("build", all);
}

#[test]
fn what_builds_and_guests_write_is_shown_safely() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n");
    let toml = "[leaf]\ncomponent = \"faulty.wasm\"\n";
    folder.write("app/frond.toml", toml);
    let case = "query = '{\"fault\":\"flood-stderr\"}'\npartition = \"\"\n[limits]\nfuel = 50_000_000\n[expect]\ntext = \"\"\n";
    folder.write("app/cases/flood.toml", case);
    folder.write("app/cases/flood-stdout.toml", case.replace("flood-stderr", "flood-stdout"));
    let ended = folder.frond("test app --no-laws").run().expect(1);
    let text = ended.out() + &ended.err();
    assert!(text.contains("out-of-fuel") && text.contains("u{1b}"), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    assert!(text.len() < MOST, "{}", text.len());
}

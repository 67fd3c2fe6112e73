//! Errors of missing, unreadable or changed input.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use insta::assert_snapshot;

use crate::kit::{Folder, outcome, skip};

fn grep() -> Folder {
    Folder::with_app("grep", "[source]\nkind = \"files\"\nglob = \"data/*.txt\"")
}

fn asked(folder: &Folder, args: &str) -> String {
    outcome(&folder.frond("query app {\"pattern\":\"a\"} ").args(args.split_whitespace()).run())
}

#[test]
fn a_glob_of_the_app_that_matches_nothing() {
    assert_snapshot!(asked(&grep(), ""), @"
    exit 64
    error: app/frond.toml:9: source.glob: no file matches `data/*.txt` in `app`
    (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
}

#[test]
fn a_glob_of_the_caller_that_matches_nothing() {
    assert_snapshot!(asked(&grep(), "--input notes/**/*.md"), @"
    exit 64
    error: no file matches `notes/**/*.md` in the current folder
    (paths start from the current folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
}

#[test]
fn a_glob_that_is_none() {
    assert_snapshot!(asked(&grep(), "--input notes/[a"), @"
    exit 64
    error: `notes/[a` is not a glob: unclosed character class; missing ']'
    ");
}

#[test]
fn an_empty_input() {
    assert_snapshot!(outcome(&grep().frond("query app {\"pattern\":\"a\"} --input").arg("").run()), @"
    exit 64
    error: the input is empty
    (name a file, a folder or a glob, or `-` for stdin)
    ");
}

#[test]
fn a_link_to_nothing() {
    let folder = grep();
    folder.write("app/data/a.txt", "a\n");
    symlink("gone.txt", folder.path("app/data/b.txt")).unwrap();
    assert_snapshot!(asked(&folder, "--input app/data/b.txt"), @"
    exit 64
    error: cannot read `app/data/b.txt`
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_file_that_may_not_be_read() {
    let folder = grep();
    let secret = folder.write("app/data/secret.txt", "a\n");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    if File::open(&secret).is_ok() {
        return skip("this user may read every file");
    }
    assert_snapshot!(asked(&folder, ""), @"
    exit 64
    error: app/frond.toml:9: source.glob: cannot read `app/data/secret.txt`
      because: Permission denied (os error 13)
    ");
}

#[test]
fn a_named_pipe() {
    let folder = grep();
    folder.write("app/data/a.txt", "a\n");
    let made = Command::new("mkfifo").arg(folder.path("pipe.txt")).status();
    assert!(made.expect("`mkfifo` runs").success());
    assert_snapshot!(asked(&folder, "--input *.txt"), @"
    exit 64
    error: `pipe.txt` is a named pipe, not a regular file
    (only regular files can be read again when a leaf is retried; pipe anything else in, with the input `-`)
    ");
}

#[test]
fn a_line_longer_than_a_partition() {
    // Its leaf gets each partition whole.
    let folder = Folder::with_app(
        "prices",
        "[source]\nkind = \"files\"\nglob = \"data/*.txt\"\n\n[limits.leaf]\npartition = \"1KiB\"",
    );
    folder.write("app/data/a.txt", "a".repeat(5000));
    assert_snapshot!(asked(&folder, ""), @r#"
    exit 64
    error: app/frond.toml:9: source.glob: the line at byte 0 of `app/data/a.txt` is longer than a partition may be: 1 KiB
    (raise limits.leaf.partition, or set source.cut = "bytes" to cut within lines)
    "#);
}

#[test]
fn pieces_larger_than_a_partition() {
    // Its leaf gets each partition whole.
    let folder = Folder::with_app("prices", "[source]\nkind = \"files\"\nglob = \"data/*.txt\"");
    folder.write("app/data/a.txt", "a\n");
    assert_snapshot!(asked(&folder, "--piece-size 1GiB"), @"
    exit 64
    error: pieces of 1 GiB are larger than a partition may be
    (limits.leaf.partition is 16 MiB: raise it, or make the pieces smaller)
    ");
}

#[test]
fn more_pieces_than_a_plan_may_have() {
    let folder = grep();
    let file = File::create(folder.write("app/data/a.txt", "")).unwrap();
    file.set_len(10 << 20).unwrap();
    assert_snapshot!(asked(&folder, "--piece-size 1"), @"
    exit 64
    error: app/frond.toml:9: source.glob: 10485760 partitions are more than the 1000000 that one query may have
    (make the pieces larger)
    ");
}

#[test]
fn a_folder_that_may_be_read_but_has_a_name_to_drive_the_terminal() {
    let folder = grep();
    assert_snapshot!(outcome(&folder.frond("query app {\"pattern\":\"a\"} --input").arg("\x1b[2J\u{202e}").run()), @r"
    exit 64
    error: `\u{1b}[2J\u{202e}` is not a glob: unclosed character class; missing ']'
    ");
}

#[test]
fn files_that_change_while_the_query_runs() {
    let folder = Folder::with_app(
        "faulty",
        "[source]\nkind = \"files\"\nglob = \"*.txt\"\n\n[query]\ndeadline = \"100s\"\n\n[limits.leaf]\nfuel = 0\nhost-calls = 1_000_000_000",
    );
    let first = folder.write("app/a.txt", "one");
    let second = folder.write("app/b.txt", "one");
    let query = r#"{"faults":{"a.txt":"read-source-forever","b.txt":"read-source"}}"#;
    let mut running = folder.frond("query app --slots 1 --floor best-effort --progress json").arg(query).start();
    running.wait_for(r#""event":"attempt-started","partition":0"#);
    // With one slot, the second leaf starts after the first one has noticed the change of its file.
    fs::write(second, "three").unwrap();
    fs::write(first, "three").unwrap();
    let ended = running.end().expect(4);
    let last = ended.events().pop().unwrap();
    let missing = last["coverage"]["missing"].as_array().unwrap();
    let messages: Vec<_> = missing.iter().map(|one| format!("{}\n", one["failure"]["message"])).collect();
    assert_snapshot!(messages.concat(), @r#"
    "`app/a.txt` has changed since it was planned"
    "`app/b.txt` has changed since it was planned"
    "#);
    assert!(missing.iter().all(|one| one["slug"] == "invalid-partition"), "{missing:?}");
}

#[test]
fn a_file_that_is_gone_when_its_leaf_reads_it() {
    let folder = Folder::with_app(
        "faulty",
        "[source]\nkind = \"files\"\nglob = \"*.txt\"\n\n[query]\ndeadline = \"100s\"\n\n[limits.leaf]\nfuel = 0\nhost-calls = 1_000_000_000",
    );
    let file = folder.write("app/a.txt", "one");
    let mut running = folder.frond("query app {\"fault\":\"read-source-forever\"} --progress lines").start();
    running.wait_for("1 partition");
    fs::remove_file(file).unwrap();
    let ended = running.end().expect(4);
    assert!(ended.err().contains("`app/a.txt` is gone since it was planned"), "{}", ended.err());
}

//! Files that a glob matches.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

use frond_root::{CancellationToken, Notes};

use super::{FoundFile, Scope, expand};
use crate::error::{Location, Origin};
use crate::testing::{Folder, globs_of};

/// A folder with typical and unusual entries.
fn folder() -> Folder {
    let folder = Folder::new();
    for name in [
        "a.txt",
        "b.csv",
        "data/a.txt",
        "data/b.txt",
        "data/deep/er/c.txt",
        "data.txt/x",
        "data-2/a.txt",
        ".hidden.txt",
        ".git/a.txt",
        "data/.cache/a.txt",
        "we[i]rd.txt",
        "weird.txt",
        "{x}/y.txt",
    ] {
        folder.write(name, "x");
    }
    symlink("../a.txt", folder.path("data/link.txt")).unwrap();
    symlink("..", folder.path("data/up")).unwrap();
    folder
}

fn found(folder: &Folder, globs: &[&str]) -> String {
    noted(folder, globs).0
}

/// Names of the found files, and the notes on entries left out.
fn noted(folder: &Folder, globs: &[&str]) -> (String, Vec<String>) {
    let origin =
        Origin::Written(Location { file: folder.path("frond.toml").into(), line: 7, key: "source.glob".to_owned() });
    let notes = Notes::default();
    let scope = Scope { base: folder.dir(), origin: &origin, notes: &notes, cancel: &CancellationToken::new() };
    let found = match expand(&globs_of(globs), scope) {
        Ok(found) => found.iter().map(FoundFile::key).collect::<Vec<_>>().join(" "),
        Err(error) => folder.show(&error),
    };
    (found, notes.list())
}

#[test]
fn wildcards_stay_in_their_component_and_skip_what_is_hidden() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &["*.txt"]), @"a.txt we[i]rd.txt weird.txt");
    insta::assert_snapshot!(found(&folder, &["data/*"]), @"data/a.txt data/b.txt data/link.txt");
    insta::assert_snapshot!(found(&folder, &["*/?.txt"]), @"data/a.txt data/b.txt data-2/a.txt {x}/y.txt");
    insta::assert_snapshot!(found(&folder, &["{a,b}.{txt,csv}"]), @"a.txt b.csv");
    insta::assert_snapshot!(found(&folder, &["data/[!a].txt"]), @"data/b.txt");
}

#[test]
fn two_stars_cross_folders_but_not_links_to_them() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &["**/*.txt"]), @"a.txt data/a.txt data/b.txt data/deep/er/c.txt data/link.txt data-2/a.txt we[i]rd.txt weird.txt {x}/y.txt");
    insta::assert_snapshot!(found(&folder, &["data/**"]), @"data/a.txt data/b.txt data/deep/er/c.txt data/link.txt");
    insta::assert_snapshot!(found(&folder, &["data/**/c.txt"]), @"data/deep/er/c.txt");
}

#[test]
fn links_to_folders_are_followed_where_a_component_matches_their_name() {
    let folder = folder();
    folder.write("disk/deep/d.txt", "x");
    folder.write("disk/e.txt", "x");
    symlink("../disk", folder.path("data-2/s1")).unwrap();
    symlink("disk", folder.path("s2")).unwrap();
    symlink("disk", folder.path(".s3")).unwrap();
    let shell = "data/a.txt data/b.txt data/link.txt data-2/a.txt disk/e.txt s2/e.txt {x}/y.txt";
    assert_eq!(noted(&folder, &["*/*.txt"]), (shell.to_owned(), vec![]));
    assert_eq!(found(&folder, &["s*/*.txt"]), "s2/e.txt");
    assert_eq!(found(&folder, &["{s2,.s3}/?.txt"]), "s2/e.txt");
    assert_eq!(found(&folder, &[".s*/*.txt"]), ".s3/e.txt");
    assert_eq!(found(&folder, &["*/s1/deep/*"]), "data-2/s1/deep/d.txt");
    assert_eq!(found(&folder, &["*/*/deep/*"]), "data-2/s1/deep/d.txt");
    assert_eq!(noted(&folder, &["s2/**/*.txt"]), ("s2/deep/d.txt s2/e.txt".to_owned(), vec![]));
    assert_eq!(found(&folder, &["s[0-9]/**/d.txt"]), "s2/deep/d.txt");
}

#[test]
fn links_to_folders_that_are_not_followed_are_told() {
    let folder = folder();
    folder.write("disk/e.txt", "x");
    symlink("../disk", folder.path("data-2/s1")).unwrap();
    symlink("../disk", folder.path("data-2/s2")).unwrap();
    let left_out = |names: &str| {
        vec![format!(
            "{names}: left out: a link to a folder, which `**` does not follow (name the link to include its files)"
        )]
    };
    let (names, notes) = noted(&folder, &["data-2/**/*.txt"]);
    assert_eq!((names.as_str(), notes), ("data-2/a.txt", left_out("`data-2/s1` and `data-2/s2`")));
    let (names, notes) = noted(&folder, &["data-2"]);
    assert_eq!((names.as_str(), notes), ("data-2/a.txt", left_out("`data-2/s1` and `data-2/s2`")));
    let (names, notes) = noted(&folder, &["*/*/*/e.txt", "disk/*"]);
    assert_eq!(
        names,
        "APP/frond.toml:7: source.glob: no file matches `*/*/*/e.txt` in `APP`\n\
        (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)"
    );
    assert_eq!(notes, ["`data/up`: left out: a link to a folder that contains the link"]);
}

#[test]
fn links_to_nothing_are_found_where_the_glob_matches_them() {
    let folder = folder();
    symlink("nowhere", folder.path("data/lost.txt")).unwrap();
    symlink("lost", folder.path("data/lost")).unwrap();
    symlink("nowhere", folder.path("data/.lost.txt")).unwrap();
    assert_eq!(found(&folder, &["data/l*.txt"]), "data/link.txt data/lost.txt");
    assert_eq!(found(&folder, &["data/**/l*"]), "data/link.txt data/lost data/lost.txt");
}

#[test]
fn choices_and_sets_that_span_components_are_not_taken_apart() {
    let folder = folder();
    assert_eq!(found(&folder, &["{data/deep/er,data-2}/*.txt"]), "data/deep/er/c.txt data-2/a.txt");
    assert_eq!(found(&folder, &["dat*/{deep/er/c,a}.txt"]), "data/a.txt data/deep/er/c.txt data-2/a.txt");
}

#[test]
fn what_is_hidden_is_found_by_a_dot() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &[".*.txt"]), @".hidden.txt");
    insta::assert_snapshot!(found(&folder, &[".git/*"]), @".git/a.txt");
    insta::assert_snapshot!(found(&folder, &["**/.cache/*"]), @"data/.cache/a.txt");
    insta::assert_snapshot!(found(&folder, &[".git/a.txt"]), @".git/a.txt");
}

#[test]
fn a_folder_is_all_that_is_below_it() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &["data"]), @"data/a.txt data/b.txt data/deep/er/c.txt data/link.txt");
    insta::assert_snapshot!(found(&folder, &["./data/"]), @"data/a.txt data/b.txt data/deep/er/c.txt data/link.txt");
    insta::assert_snapshot!(found(&folder, &["data/up/data-2"]), @"data/up/data-2/a.txt");
    insta::assert_snapshot!(found(&folder, &["data/../data-2"]), @"data/../data-2/a.txt");
    insta::assert_snapshot!(found(&folder, &["."]), @"a.txt b.csv data/a.txt data/b.txt data/deep/er/c.txt data/link.txt data-2/a.txt data.txt/x we[i]rd.txt weird.txt {x}/y.txt");
}

#[test]
fn a_name_that_exists_is_no_glob() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &["we[i]rd.txt"]), @"we[i]rd.txt");
    insta::assert_snapshot!(found(&folder, &["{x}"]), @"{x}/y.txt");
    insta::assert_snapshot!(found(&folder, &["\\{x\\}/*"]), @"{x}/y.txt");
}

#[test]
fn a_file_that_two_globs_lead_to_is_found_once() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &["b.csv", "*.txt", "./a.txt", "a.*"]), @"a.txt b.csv we[i]rd.txt weird.txt");
}

#[test]
fn an_absolute_glob_gives_absolute_names() {
    let folder = folder();
    let glob = folder.path("data/[ab].txt");
    let names = found(&folder, &[glob.to_str().unwrap()]);
    insta::assert_snapshot!(names.replace(folder.dir().to_str().unwrap(), "APP"), @"APP/data/a.txt APP/data/b.txt");
}

#[test]
fn a_glob_that_finds_nothing_is_refused() {
    let folder = folder();
    insta::assert_snapshot!(found(&folder, &["*.txt", "*.json"]), @r"
    APP/frond.toml:7: source.glob: no file matches `*.json` in `APP`
    (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
    insta::assert_snapshot!(found(&folder, &["nowhere/*.txt"]), @r"
    APP/frond.toml:7: source.glob: no file matches `nowhere/*.txt` in `APP`
    (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
    insta::assert_snapshot!(found(&folder, &["a.txt/*.txt"]), @r"
    APP/frond.toml:7: source.glob: no file matches `a.txt/*.txt` in `APP`
    (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
    insta::assert_snapshot!(found(&folder, &["missing.txt"]), @r"
    APP/frond.toml:7: source.glob: no file matches `missing.txt` in `APP`
    (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
    std::fs::create_dir(folder.path("empty")).unwrap();
    insta::assert_snapshot!(found(&folder, &["empty"]), @r"
    APP/frond.toml:7: source.glob: no file matches `empty` in `APP`
    (paths start from the app's folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
}

#[test]
fn names_that_are_not_utf_8_stay_apart() {
    let folder = Folder::new();
    for name in [&b"a\xff"[..], b"a\xfe", b"a\\\xff", "aé".as_bytes()] {
        std::fs::write(folder.dir().join(std::ffi::OsString::from_vec(name.to_vec())), "x").unwrap();
    }
    insta::assert_snapshot!(found(&folder, &["a*"]), @r"a\\\xFF aé a\xFE a\xFF");
}

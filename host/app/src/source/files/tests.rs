//! Files as partitions: whole or in pieces; unreadable files and changed files.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use frond_root::{CancellationToken, FailureKind, Grain, Notes, Partition};
use proptest::prelude::*;

use super::partitions;
use crate::error::{AppError, Origin};
use crate::source::cut::Cutting;
use crate::source::walk::Scope;
use crate::source::{CutMode, PieceSize};
use crate::testing::{Folder, globs_of, table};

const CUTTING: Cutting =
    Cutting { piece: PieceSize::Bytes(8), mode: CutMode::Lines, slots: 1, limit: 16, pulls: false };

fn cut(folder: &Folder, glob: &str, cutting: Cutting) -> Result<Vec<Partition>, AppError> {
    noted(folder, &[glob], cutting, &Arc::default())
}

fn noted(folder: &Folder, globs: &[&str], cutting: Cutting, notes: &Arc<Notes>) -> Result<Vec<Partition>, AppError> {
    let scope = Scope { base: folder.dir(), origin: &Origin::Caller, notes, cancel: &CancellationToken::new() };
    partitions(&globs_of(globs), scope, notes, cutting)
}

fn shown(folder: &Folder, partitions: &[Partition]) -> String {
    table(partitions).replace(folder.dir().to_str().unwrap(), "APP")
}

fn refused(folder: &Folder, glob: &str, cutting: Cutting) -> String {
    folder.show(&cut(folder, glob, cutting).unwrap_err())
}

#[test]
fn small_files_are_whole_and_large_ones_in_pieces() {
    let folder = Folder::new();
    folder.write("data/empty", "");
    folder.write("data/small", "12345678");
    folder.write("data/large", "one\ntwo\nthree\nfour\nfive");
    insta::assert_snapshot!(table(&cut(&folder, "data", CUTTING).unwrap()), @r#"
    data/empty (1) ""
    data/large#0+8 (8) "one\ntwo\n"
    data/large#8+6 (6) "three\n"
    data/large#14+5 (5) "four\n"
    data/large#19+4 (4) "five"
    data/small (8) "12345678"
    "#);
    let bytes = Cutting { mode: CutMode::Bytes, ..CUTTING };
    insta::assert_snapshot!(table(&cut(&folder, "data/large", bytes).unwrap()), @r#"
    data/large#0+8 (8) "one\ntwo\n"
    data/large#8+8 (8) "three\nfo"
    data/large#16+7 (7) "ur\nfive"
    "#);
}

#[test]
fn no_piece_exceeds_the_limit_even_when_asked_to() {
    let folder = Folder::new();
    folder.write("a", "one\n".repeat(10));
    let cutting = Cutting { piece: PieceSize::Bytes(1 << 20), ..CUTTING };
    let partitions = cut(&folder, "a", cutting).unwrap();
    assert!(partitions.len() > 2 && partitions.iter().all(|one| one.content.size() <= 16));
}

#[test]
fn a_line_longer_than_a_partition_is_refused_unless_it_may_be_cut() {
    let folder = Folder::new();
    folder.write("a", "short\na line that is longer than that\nshort\n");
    insta::assert_snapshot!(refused(&folder, "a", CUTTING), @r#"
    the line at byte 6 of `APP/a` is longer than a partition may be: 16 bytes
    (raise limits.leaf.partition, or set source.cut = "bytes" to cut within lines)
    "#);
    let bytes = Cutting { mode: CutMode::Bytes, ..CUTTING };
    assert_eq!(cut(&folder, "a", bytes).unwrap().len(), 6);
}

#[test]
fn pieces_too_small_for_a_plan_are_refused_before_they_are_made() {
    let folder = Folder::new();
    let file = fs::File::create(folder.path("sparse")).unwrap();
    file.set_len(1 << 40).unwrap();
    insta::assert_snapshot!(refused(&folder, "sparse", CUTTING), @r"
    137438953472 partitions are more than the 1000000 that one query may have
    (make the pieces larger)
    ");
}

#[test]
fn what_cannot_be_read_again_is_not_even_opened() {
    let folder = Folder::new();
    folder.write("data/a", "x");
    assert!(Command::new("mkfifo").arg(folder.path("data/pipe")).status().unwrap().success());
    symlink("/dev/null", folder.path("data/null")).unwrap();
    insta::assert_snapshot!(shown(&folder, &cut(&folder, "data/*", CUTTING).unwrap()), @r#"
    data/a (1) "x"
    data/null (1) invalid-partition: `APP/data/null` is a device, not a regular file (only regular files can be read again when a leaf is retried; pipe anything else in, with the input `-`)
    data/pipe (1) invalid-partition: `APP/data/pipe` is a named pipe, not a regular file (only regular files can be read again when a leaf is retried; pipe anything else in, with the input `-`)
    "#);
    insta::assert_snapshot!(refused(&folder, "/dev/null", CUTTING), @r"
    `/dev/null` is a device, not a regular file
    (only regular files can be read again when a leaf is retried; pipe anything else in, with the input `-`)
    ");
}

#[test]
fn what_cannot_be_read_is_missing_with_the_reason() {
    let folder = Folder::new();
    folder.write("data/a", "x");
    folder.write("data/long", "a line that is longer than that\n");
    symlink("nowhere", folder.path("data/dangling")).unwrap();
    insta::assert_snapshot!(shown(&folder, &cut(&folder, "data/*", CUTTING).unwrap()), @r#"
    data/a (1) "x"
    data/dangling (1) invalid-partition: cannot read `APP/data/dangling`: No such file or directory (os error 2)
    data/long (32) invalid-partition: the line at byte 0 of `APP/data/long` is longer than a partition may be: 16 bytes (raise limits.leaf.partition, or set source.cut = "bytes" to cut within lines)
    "#);
}

#[test]
fn when_nothing_can_be_read_the_reason_is_an_error() {
    let folder = Folder::new();
    symlink("nowhere", folder.path("dangling")).unwrap();
    insta::assert_snapshot!(refused(&folder, "d*", CUTTING), @r"
    cannot read `APP/dangling`
    caused by: No such file or directory (os error 2)
    ");
    symlink("loop", folder.path("loop")).unwrap();
    insta::assert_snapshot!(refused(&folder, "loop", CUTTING), @r"
    cannot read `APP/loop`
    caused by: Too many levels of symbolic links (os error 40)
    ");
}

#[test]
fn a_file_that_links_lead_to_as_well_counts_once() {
    let folder = Folder::new();
    folder.write("logs/app-1.log", "one");
    folder.write("disk/x.log", "x");
    symlink("app-1.log", folder.path("logs/latest.log")).unwrap();
    symlink("app-1.log", folder.path("logs/a-first.log")).unwrap();
    symlink("../disk/x.log", folder.path("logs/x.log")).unwrap();
    symlink("../disk/x.log", folder.path("logs/y.log")).unwrap();
    fs::hard_link(folder.path("logs/app-1.log"), folder.path("logs/app-2.log")).unwrap();
    let notes = Arc::default();
    let partitions = noted(&folder, &["logs/*.log"], CUTTING, &notes).unwrap();
    // Hard links count as separate files, as in a shell.
    let keys: Vec<_> = partitions.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["logs/app-1.log", "logs/app-2.log", "logs/x.log"]);
    insta::assert_snapshot!(notes.list().join("\n"), @"`logs/a-first.log`, `logs/latest.log` and `logs/y.log`: left out: a link to a file that is a partition under another name");
    // Also through linked folders, and by absolute paths.
    symlink("logs", folder.path("current")).unwrap();
    let absolute = folder.path("logs/*.log");
    for globs in [["current/app-1.log", "logs/app-1.log"], ["*/app-1.log", "logs/app-1.log"]] {
        assert_eq!(noted(&folder, &globs, CUTTING, &Arc::default()).unwrap().len(), 1, "{globs:?}");
    }
    let globs = ["logs/*.log", absolute.to_str().unwrap()];
    assert_eq!(noted(&folder, &globs, CUTTING, &Arc::default()).unwrap().len(), 3);
}

#[test]
fn csv_in_pieces_is_told() {
    let folder = Folder::new();
    folder.write("a.csv", "1,\"a\nb\"\n".repeat(4));
    folder.write("b.CSV", "1,2\n");
    folder.write("c.txt", "1,\"a\nb\"\n".repeat(4));
    let notes = Arc::default();
    noted(&folder, &["*"], CUTTING, &notes).unwrap();
    insta::assert_snapshot!(notes.list().join("\n"), @r#"`a.csv`: cut at line ends, also inside quoted fields (set source.cut = "none" if fields may contain line ends)"#);
    let notes = Arc::default();
    let whole = Cutting { mode: CutMode::None, limit: 100, ..CUTTING };
    assert_eq!(noted(&folder, &["*"], whole, &notes).unwrap().len(), 3);
    assert!(notes.list().is_empty());
}

#[test]
fn files_that_are_not_what_leaves_take_them_for_are_told() {
    let folder = Folder::new();
    folder.write("a.log", b"\x1f\x8b\x08rest");
    folder.write("b.log", b"\xff\xfea\0");
    folder.write("c.log", b"\x28\xb5\x2f\xfdrest\nand\nmore\n");
    folder.write("d.log", "plain\n");
    let notes = Arc::default();
    let partitions = noted(&folder, &["*.log"], CUTTING, &notes).unwrap();
    assert!(notes.list().is_empty(), "nothing was read yet");
    for _ in 0..2 {
        partitions.iter().for_each(|one| drop(one.content.whole().unwrap()));
    }
    insta::assert_snapshot!(notes.list().join("\n"), @r"
    `c.log`: compressed (Zstandard), and given to leaves as it is (decompress it first)
    `a.log`: compressed (gzip), and given to leaves as it is (decompress it first)
    `b.log`: text in UTF-16, and given to leaves as it is (convert it to UTF-8 first)
    ");
}

#[test]
fn files_that_do_not_tell_their_size_are_read_when_they_are_planned() {
    let folder = Folder::new();
    folder.write("empty", "");
    symlink("/proc/version", folder.path("version")).unwrap();
    let cutting = Cutting { limit: 1 << 20, ..CUTTING };
    let version = fs::read("/proc/version").unwrap();
    let partitions = cut(&folder, "*", cutting).unwrap();
    assert_eq!(partitions[0].content.whole().unwrap(), "");
    assert_eq!(partitions[1].content.whole().unwrap(), version);
    assert_eq!(partitions[1].weight, version.len() as u64);
    insta::assert_snapshot!(refused(&folder, "version", CUTTING), @r"
    `APP/version` does not report its size, and has more than 16 bytes
    (copy it to a file, and name that)
    ");
}

#[test]
fn files_that_tell_a_size_of_a_page_are_read_to_their_end() {
    let names = ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state", "/sys/kernel/uevent_seqnum"];
    for name in names.iter().filter(|name| fs::read(name).is_ok()) {
        let folder = Folder::new();
        let partitions = cut(&folder, name, Cutting { limit: 1 << 20, ..CUTTING }).unwrap();
        assert_eq!(partitions[0].content.whole().unwrap(), fs::read(name).unwrap(), "{name}");
    }
}

/// Plans `a`, applies `change`, and reads the first partition.
fn after(change: impl FnOnce(&Folder)) -> String {
    let folder = Folder::new();
    folder.write("a", "one\ntwo\nthree\nfour\n");
    let partitions = cut(&folder, "a", CUTTING).unwrap();
    assert_eq!(&partitions[0].content.whole().unwrap()[..], b"one\n");
    change(&folder);
    let failure = partitions[0].content.whole().unwrap_err();
    failure.to_string().replace(folder.dir().to_str().unwrap(), "APP")
}

#[test]
fn a_file_that_changed_is_not_what_was_planned() {
    insta::assert_snapshot!(after(|folder| folder.write("a", "shorter")), @"invalid-partition: `APP/a` has changed since it was planned");
    let later = SystemTime::now() + Duration::from_secs(10);
    let touched =
        after(|folder| fs::File::options().write(true).open(folder.path("a")).unwrap().set_modified(later).unwrap());
    insta::assert_snapshot!(touched, @"invalid-partition: `APP/a` has changed since it was planned");
    // Same content and length, but another file.
    let replaced = after(|folder| {
        folder.write("b", "one\ntwo\nthree\nfour\n");
        fs::rename(folder.path("b"), folder.path("a")).unwrap();
    });
    insta::assert_snapshot!(replaced, @"invalid-partition: `APP/a` has changed since it was planned");
    insta::assert_snapshot!(after(|folder| fs::remove_file(folder.path("a")).unwrap()), @"invalid-partition: `APP/a` is gone since it was planned");
    let piped = after(|folder| {
        fs::remove_file(folder.path("a")).unwrap();
        assert!(Command::new("mkfifo").arg(folder.path("a")).status().unwrap().success());
    });
    insta::assert_snapshot!(piped, @"invalid-partition: `APP/a` has changed since it was planned");
}

#[test]
fn a_file_that_cannot_be_read_now_may_be_later() {
    let looped = after(|folder| {
        fs::remove_file(folder.path("a")).unwrap();
        symlink("a", folder.path("a")).unwrap();
    });
    assert!(looped.starts_with(FailureKind::Unavailable.slug()), "{looped}");
    insta::assert_snapshot!(looped, @"unavailable: cannot read `APP/a`: Too many levels of symbolic links (os error 40)");
}

#[test]
fn a_piece_is_read_in_parts() {
    let folder = Folder::new();
    folder.write("a", "one\ntwo\nthree\nfour\n");
    let piece = &cut(&folder, "a", CUTTING).unwrap()[1];
    assert_eq!(piece.key.as_str(), "a#4+4");
    let read = |offset, len| String::from_utf8(piece.content.read(offset, len).unwrap().to_vec()).unwrap();
    assert_eq!(
        (read(0, 2), read(2, 100), read(4, 1), read(99, 1)),
        ("tw".into(), "o\n".into(), String::new(), String::new())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_a_file_are_together_the_file(lines in prop::collection::vec("[a-z]{0,14}", 0..80), piece in 1_u64..40) {
        let content = lines.join("\n");
        let folder = Folder::new();
        folder.write("a", &content);
        let partitions = cut(&folder, "a", Cutting { piece: PieceSize::Bytes(piece), ..CUTTING }).unwrap();
        let whole: Vec<u8> = partitions.iter().flat_map(|one| one.content.whole().unwrap().to_vec()).collect();
        prop_assert_eq!(whole, content.into_bytes());
    }
}

#[test]
fn a_hundred_thousand_files_are_planned_at_once() {
    let folder = Folder::new();
    for name in 0..100_000 {
        let path = folder.path(&format!("data/{name}"));
        // Links are faster to create than files, but a file has at most 65,000.
        match name % 50_000 {
            0 => folder.write(&format!("data/{name}"), "x"),
            _ => fs::hard_link(folder.path(&format!("data/{}", name / 50_000 * 50_000)), path).unwrap(),
        }
    }
    let partitions = cut(&folder, "data/*", CUTTING).unwrap();
    assert_eq!(partitions.len(), 100_000);
}

#[test]
fn a_compressed_file_is_one_partition_for_leaves_that_read_it_themselves() {
    let folder = Folder::new();
    let content = |magic: &[u8]| [magic, &b"line\n".repeat(10_000)].concat();
    folder.write("data/plain", content(b""));
    folder.write("data/gzip", content(b"\x1f\x8b\x08"));
    folder.write("data/zstd", content(b"\x28\xb5\x2f\xfd"));
    folder.write("data/named.gz", content(b""));
    let cutting = Cutting { piece: PieceSize::Bytes(30_000), limit: u64::MAX, pulls: true, ..CUTTING };
    let grains = |cutting| -> Vec<_> {
        let partitions = cut(&folder, "data", cutting).unwrap();
        partitions.iter().map(|one| (one.key.to_string(), one.content.units().grain)).collect()
    };
    let key = |name: &str| format!("data/{name}");
    assert_eq!(
        grains(cutting),
        [
            (key("gzip"), Grain::Whole),
            (key("named.gz"), Grain::Whole),
            (key("plain#0+25000"), Grain::Byte),
            (key("plain#25000+25000"), Grain::Byte),
            (key("zstd"), Grain::Whole),
        ]
    );
    // Other leaves get pieces that fit their limit.
    let whole = Cutting { limit: 30_000, pulls: false, ..cutting };
    assert!(grains(whole).iter().all(|(key, _)| key.contains('#')));
}

#[test]
fn a_file_may_be_larger_than_a_partition_if_its_leaf_reads_it_itself() {
    let folder = Folder::new();
    folder.write("a", "one\ntwo\nthree\nfour\nfive");
    let whole = Cutting { mode: CutMode::None, ..CUTTING };
    assert!(refused(&folder, "a", whole).contains("more than a partition may have"));
    let app = Cutting { limit: u64::MAX, pulls: true, ..whole };
    insta::assert_snapshot!(table(&cut(&folder, "a", app).unwrap()), @r#"a (23) "one\ntwo\nthree\nfour\nfive""#);
}

//! Files as partitions: whole or in pieces, refused when they cannot be read, caught when they change.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use frond_root::{FailureKind, Partition};
use proptest::prelude::*;

use super::partitions;
use crate::error::{AppError, Origin};
use crate::source::{CutMode, Cutting, PieceSize};
use crate::testing::{Folder, table};

const CUTTING: Cutting = Cutting { piece: PieceSize::Bytes(8), mode: CutMode::Lines, slots: 1, limit: 16 };

fn cut(folder: &Folder, glob: &str, cutting: Cutting) -> Result<Vec<Partition>, AppError> {
    partitions(folder.dir(), &[glob], &Origin::Caller, cutting)
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
    insta::assert_snapshot!(refused(&folder, "data/*", CUTTING), @r"
    `APP/data/pipe` is a named pipe, not a regular file
    (only regular files can be read again when a leaf is retried; pipe anything else in, with the input `-`)
    ");
    insta::assert_snapshot!(refused(&folder, "/dev/null", CUTTING), @r"
    `/dev/null` is a device, not a regular file
    (only regular files can be read again when a leaf is retried; pipe anything else in, with the input `-`)
    ");
}

#[test]
fn what_cannot_be_read_is_named_with_the_reason() {
    let folder = Folder::new();
    folder.write("data/a", "x");
    symlink("nowhere", folder.path("data/dangling")).unwrap();
    insta::assert_snapshot!(refused(&folder, "data/*", CUTTING), @r"
    cannot read `APP/data/dangling`
    caused by: No such file or directory (os error 2)
    ");
    symlink("loop", folder.path("loop")).unwrap();
    insta::assert_snapshot!(refused(&folder, "loop", CUTTING), @r"
    cannot read `APP/loop`
    caused by: Too many levels of symbolic links (os error 40)
    ");
}

/// The first partition of `a`, planned, and then `change` happens.
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
    // Same content, same length, but another file.
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
        // Links are made faster than files, but a file has at most 65,000.
        match name % 50_000 {
            0 => folder.write(&format!("data/{name}"), "x"),
            _ => fs::hard_link(folder.path(&format!("data/{}", name / 50_000 * 50_000)), path).unwrap(),
        }
    }
    let begin = Instant::now();
    let partitions = cut(&folder, "data/*", CUTTING).unwrap();
    let took = begin.elapsed();
    assert_eq!(partitions.len(), 100_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("{took:?}");
}

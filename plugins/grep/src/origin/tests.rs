//! Tests of the keys of files and of pieces.

use super::Origin;

fn check(key: &str, file: &str, offset: Option<u64>) {
    assert_eq!(Origin::of(key), Origin { file, offset });
}

#[test]
fn a_path_is_a_whole_file() {
    check("a/b.txt", "a/b.txt", None);
    check("notes#1.txt", "notes#1.txt", None);
    check("a#b+c", "a#b+c", None);
    check("a#1+", "a#1+", None);
    check("a#+1", "a#+1", None);
    check("a#1++2", "a#1++2", None);
    check("a#1+99999999999999999999", "a#1+99999999999999999999", None);
}

#[test]
fn a_range_is_a_piece() {
    check("a/b.txt#0+10", "a/b.txt", Some(0));
    check("a#1+2#1048576+1000", "a#1+2", Some(1_048_576));
}

//! From an app and what a query brings to partitions: each kind of source, and what replaces it.

use std::io::Cursor;

use bytes::Bytes;
use frond_root::{Content, Plan};

use super::{Cut, Inputs, PieceSize};
use crate::testing::{Folder, table};

fn with_stdin<'a>(slots: usize, text: &str) -> Inputs<'a> {
    Inputs { stdin: Some(Box::new(Cursor::new(text.to_owned().into_bytes()))), ..Inputs::new(b"", slots) }
}

fn refused(folder: &Folder, inputs: Inputs<'_>) -> String {
    folder.show(&folder.cut(inputs).unwrap_err())
}

#[test]
fn a_list_keeps_its_order_and_weights() {
    let folder = Folder::app(
        "[source]\nkind = \"list\"\npartitions = [\n\
         { key = \"b\", data = \"inline\", weight = 3 },\n\
         { key = \"a\", file = \"data/a.csv\" },\n\
         { key = \"none\", data = \"\" },\n]\n",
    );
    folder.write("data/a.csv", "1,2\n");
    insta::assert_snapshot!(table(&folder.cut(Inputs::new(b"", 1)).unwrap()), @r#"
    b (3) "inline"
    a (4) "1,2\n"
    none (1) ""
    "#);
}

#[test]
fn a_list_s_file_is_there_and_fits() {
    let list = "[limits.leaf]\npartition = \"1KiB\"\n[source]\nkind = \"list\"\npartitions = [\n\
                { key = \"a\", data = \"\" },\n{ key = \"b\", file = \"b.csv\" },\n]\n";
    let folder = Folder::app(list);
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r"
    APP/frond.toml:11: source.partitions[1].file: there is no file `APP/b.csv`
    (paths are relative to frond.toml)
    ");
    folder.write("b.csv", [b'x'; 1025]);
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r#"
    APP/frond.toml:11: source.partitions[1].file: `APP/b.csv` has 1025 bytes, more than a partition may have: 1 KiB
    (raise limits.leaf.partition, or cut it: source.kind = "files")
    "#);
    std::fs::remove_file(folder.path("b.csv")).unwrap();
    std::fs::create_dir(folder.path("b.csv")).unwrap();
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r"
    APP/frond.toml:11: source.partitions[1].file: `APP/b.csv` is a folder, not a regular file
    (only regular files can be read again when a leaf is retried)
    ");
}

#[test]
fn the_query_s_bytes_are_passed_on_whatever_they_are() {
    let folder = Folder::app("[source]\nkind = \"range\"\nstart = 0\nend = 1\n");
    let Cut::Ready { query, .. } = folder.load().unwrap().partitions(Inputs::new(b"\xff\0", 1)).unwrap() else {
        panic!("a range is ready")
    };
    assert_eq!(&query[..], b"\xff\0");
}

#[test]
fn a_range_is_cut_by_the_slots() {
    let folder = Folder::app("[source]\nkind = \"range\"\nstart = 0\nend = 1000\n");
    assert_eq!(folder.cut(Inputs::new(b"", 2)).unwrap().len(), 32);
}

#[test]
fn stdin_is_cut_at_lines_or_anywhere() {
    let mut folder = Folder::app("[source]\nkind = \"stdin\"\npiece-size = 4\n");
    insta::assert_snapshot!(table(&folder.cut(with_stdin(1, "a\nb\nc\nlonger\nd")).unwrap()), @r#"
    stdin#0+4 (4) "a\nb\n"
    stdin#4+2 (2) "c\n"
    stdin#6+7 (7) "longer\n"
    stdin#13+1 (1) "d"
    "#);
    folder = Folder::app("[source]\nkind = \"stdin\"\npiece-size = 4\ncut = \"bytes\"\n");
    insta::assert_snapshot!(table(&folder.cut(with_stdin(1, "a\nb\nc\nlonger\nd")).unwrap()), @r#"
    stdin#0+4 (4) "a\nb\n"
    stdin#4+4 (4) "c\nlo"
    stdin#8+4 (4) "nger"
    stdin#12+2 (2) "\nd"
    "#);
    assert_eq!(folder.cut(with_stdin(1, "")).unwrap().len(), 0);
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r"
    the query reads stdin, but nothing is piped in
    (pipe the data in, or name a file as the input)
    ");
}

#[test]
fn a_split_is_left_to_the_caller() {
    let folder = Folder::app("[split]\ncomponent = \"split.wasm\"\n[source]\nkind = \"split\"\n");
    let app = folder.load().unwrap();
    let Cut::Split { query, wanted } = app.partitions(Inputs::new(b"q", 3)).unwrap() else {
        panic!("a split is not ready")
    };
    assert_eq!((&query[..], wanted), (&b"q"[..], 24));
    let partitions = app.from_split([("a".to_owned(), b"12".to_vec()), ("b".to_owned(), vec![])]);
    insta::assert_snapshot!(table(&partitions.unwrap()), @r#"
    a (2) "12"
    b (1) ""
    "#);
}

#[test]
fn a_split_s_mistakes_are_its_component_s() {
    let folder =
        Folder::app("[split]\ncomponent = \"s.wasm\"\n[source]\nkind = \"split\"\n[limits.leaf]\npartition = 2\n");
    let app = folder.load().unwrap();
    let refused = |keys: &[&str]| {
        let pieces = keys.iter().map(|key| ((*key).to_owned(), Bytes::copy_from_slice(key.as_bytes())));
        folder.show(&app.from_split(pieces).unwrap_err())
    };
    insta::assert_snapshot!(refused(&["a", "b", "a"]), @r"
    APP/frond.toml:6: split.component: `APP/s.wasm`: two partitions have the key `a`
    (keys name what is missing from an answer, so each must be unique)
    ");
    insta::assert_snapshot!(refused(&["a", ""]), @"APP/frond.toml:6: split.component: `APP/s.wasm`: the partition at index 1 has an empty key");
    insta::assert_snapshot!(refused(&["abc"]), @r"
    APP/frond.toml:6: split.component: `APP/s.wasm`: the partition `abc` has 3 bytes, more than the 2 bytes allowed
    (make it smaller, or raise limits.leaf.partition)
    ");
}

#[test]
fn an_input_replaces_the_source() {
    let mut folder = Folder::app("[source]\nkind = \"range\"\nstart = 0\nend = 1000\n");
    folder.write("given/a.txt", "abc\nd\n");
    let input = folder.path("given/*.txt");
    let given = |piece_size| Inputs { input: input.to_str(), piece_size, ..Inputs::new(b"", 1) };
    let shown =
        |folder: &Folder, inputs| table(&folder.cut(inputs).unwrap()).replace(folder.dir().to_str().unwrap(), "APP");
    insta::assert_snapshot!(shown(&folder, given(None)), @r#"APP/given/a.txt (6) "abc\nd\n""#);
    insta::assert_snapshot!(shown(&folder, given(Some(PieceSize::Bytes(5)))), @r#"
    APP/given/a.txt#0+4 (4) "abc\n"
    APP/given/a.txt#4+2 (2) "d\n"
    "#);
    let dash = Inputs { input: Some("-"), ..with_stdin(1, "a\n") };
    insta::assert_snapshot!(shown(&folder, dash), @r#"stdin#0+2 (2) "a\n""#);
    // The app's own cut is kept.
    folder.write(
        "frond.toml",
        format!("{}[source]\nkind = \"files\"\nglob = \"x\"\ncut = \"bytes\"\n", crate::testing::COMPONENTS),
    );
    insta::assert_snapshot!(shown(&folder, given(Some(PieceSize::Bytes(5)))), @r#"
    APP/given/a.txt#0+3 (3) "abc"
    APP/given/a.txt#3+3 (3) "\nd\n"
    "#);
    folder = Folder::app("[source]\nkind = \"query\"\n");
    let nowhere = Inputs { input: Some("no/such/*.file"), ..Inputs::new(b"", 1) };
    insta::assert_snapshot!(refused(&folder, nowhere), @r"
    no file matches `no/such/*.file` in the current folder
    (paths start from the current folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
}

#[test]
fn an_input_starts_from_the_current_folder() {
    let folder = Folder::app("[source]\nkind = \"query\"\n");
    // Tests run in their crate's folder.
    for input in ["Cargo.toml", "./Cargo.toml", "Cargo.*", "[C]argo.toml"] {
        let partitions = folder.cut(Inputs { input: Some(input), ..Inputs::new(b"", 1) }).unwrap();
        let keys: Vec<_> = partitions.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["Cargo.toml"], "{input}");
    }
    let partitions = folder.cut(Inputs { input: Some("src/size"), ..Inputs::new(b"", 1) }).unwrap();
    assert_eq!(partitions[0].key.as_str(), "src/size/tests.rs");
    assert!(partitions[0].content.whole().unwrap().starts_with(b"//!"));
}

#[test]
fn a_piece_size_that_cannot_be_is_refused() {
    let sized = |bytes| Inputs { piece_size: Some(PieceSize::Bytes(bytes)), ..Inputs::new(b"", 1) };
    let mut folder = Folder::app("[source]\nkind = \"stdin\"\n");
    insta::assert_snapshot!(refused(&folder, sized(0)), @r#"
    pieces of 0 bytes never get to the end
    (write a size above 0, or "auto")
    "#);
    insta::assert_snapshot!(refused(&folder, sized(1 << 30)), @r"
    pieces of 1 GiB are larger than a partition may be
    (limits.leaf.partition is 16 MiB: raise it, or make the pieces smaller)
    ");
    folder = Folder::app("[source]\nkind = \"range\"\nstart = 0\nend = 1000\n");
    insta::assert_snapshot!(refused(&folder, sized(1)), @r#"
    a source of the kind "range" is not cut into pieces of a size
    (leave the piece size out)
    "#);
}

#[test]
fn piece_sizes_are_read_and_shown() {
    for (text, size) in [("auto", PieceSize::Auto), ("1 MiB", PieceSize::Bytes(1 << 20))] {
        assert_eq!((text.parse(), size.to_string()), (Ok(size), text.to_owned()));
    }
}

#[test]
fn every_cut_is_a_plan() {
    let folder = Folder::app("[source]\nkind = \"stdin\"\npiece-size = 2\n");
    let plan = Plan::new(folder.cut(with_stdin(1, "a\nb\nc\n")).unwrap()).unwrap();
    assert_eq!((plan.len(), plan.weight()), (3, 6));
    assert_eq!(plan.partitions()[1].content.read(1, 9).unwrap(), &b"\n"[..]);
    assert_eq!(Bytes::from_static(b"ab").size(), 2);
}

//! From an app and a query's inputs to partitions: each kind of source, and its replacements.

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
                { key = \"b\", file = \"b.csv\" },\n]\n";
    let folder = Folder::app(list);
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r"
    APP/frond.toml:10: source.partitions[0].file: there is no file `APP/b.csv`
    (paths are relative to frond.toml)
    ");
    folder.write("b.csv", [b'x'; 1025]);
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r#"
    APP/frond.toml:10: source.partitions[0].file: `APP/b.csv` has 1025 bytes, more than a partition may have: 1 KiB
    (raise limits.leaf.partition, or cut the file: source.kind = "files")
    "#);
    std::fs::remove_file(folder.path("b.csv")).unwrap();
    std::fs::create_dir(folder.path("b.csv")).unwrap();
    insta::assert_snapshot!(refused(&folder, Inputs::new(b"", 1)), @r"
    APP/frond.toml:10: source.partitions[0].file: `APP/b.csv` is a folder, not a regular file
    (only regular files can be read again when a leaf is retried)
    ");
}

#[test]
fn a_list_s_file_that_cannot_be_read_is_missing_beside_those_that_can() {
    let list = "[limits.leaf]\npartition = \"1KiB\"\n[source]\nkind = \"list\"\npartitions = [\n\
                { key = \"a\", data = \"inline\" },\n{ key = \"b\", file = \"b.csv\", weight = 5 },\n\
                { key = \"c\", file = \"c.csv\" },\n]\n";
    let folder = Folder::app(list);
    folder.write("c.csv", [b'x'; 1025]);
    let shown = table(&folder.cut(Inputs::new(b"", 1)).unwrap()).replace(folder.dir().to_str().unwrap(), "APP");
    insta::assert_snapshot!(shown, @r#"
    a (6) "inline"
    b (5) invalid-partition: there is no file `APP/b.csv` (paths are relative to frond.toml)
    c (1025) invalid-partition: `APP/c.csv` has 1025 bytes, more than a partition may have: 1 KiB (raise limits.leaf.partition, or cut the file: source.kind = "files")
    "#);
}

#[test]
fn nothing_is_cut_where_a_file_is_a_partition() {
    let mut folder = Folder::app("[source]\nkind = \"stdin\"\ncut = \"none\"\n[limits.leaf]\npartition = 8\n");
    assert_eq!(table(&folder.cut(with_stdin(1, "a\nb\nc\nde")).unwrap()), "stdin#0+8 (8) \"a\\nb\\nc\\nde\"\n");
    assert_eq!(folder.cut(with_stdin(1, "")).unwrap().len(), 0);
    insta::assert_snapshot!(refused(&folder, with_stdin(1, "a\nb\nc\nd\ne")), @r#"
    stdin is larger than a partition may be: 8 bytes
    (raise limits.leaf.partition, or cut the input: source.cut = "lines")
    "#);
    let piece_size = Some(PieceSize::Bytes(4));
    insta::assert_snapshot!(refused(&folder, Inputs { piece_size, ..with_stdin(1, "a") }), @r#"
    each file is one partition, without pieces: the app has source.cut = "none"
    (leave the piece size out)
    "#);
    folder = Folder::app(
        "[source]\nkind = \"files\"\nglob = \"*.csv\"\ncut = \"none\"\n[limits.leaf]\npartition = 1_000_000\n",
    );
    folder.write("a.csv", "\"a\nb\",1\n".repeat(100_000));
    folder.write("b.csv", "\"a\nb\",1\n");
    let partitions = folder.cut(Inputs::new(b"", 8)).unwrap();
    let keys: Vec<_> = partitions.iter().map(|one| (one.key.as_str(), one.content.size())).collect();
    assert_eq!(keys, [("a.csv", 800_000), ("b.csv", 8)]);
    folder.write("a.csv", "\"a\nb\",1\n".repeat(125_001));
    let failure = folder.cut(Inputs::new(b"", 8)).unwrap()[0].content.whole().unwrap_err();
    let message = failure.message.replace(folder.dir().to_str().unwrap(), "APP");
    insta::assert_snapshot!(message, @r#"`APP/a.csv` has 1000008 bytes, more than a partition may have: 1000000 bytes (raise limits.leaf.partition, or cut the file: source.cut = "lines")"#);
    folder = Folder::app("[source]\nkind = \"files\"\nglob = \"*.csv\"\ncut = \"none\"\npiece-size = \"1MiB\"\n");
    insta::assert_snapshot!(folder.show(&folder.load().unwrap_err()), @r#"
    APP/frond.toml:9: source.piece-size: there are no pieces with cut = "none": a file is a partition
    (leave one of them out)
    "#);
}

#[test]
fn several_inputs_are_taken_together() {
    let folder = Folder::app("[source]\nkind = \"query\"\n");
    folder.write("a.txt", "a");
    folder.write("b.csv", "b");
    let input = ["a.txt", "*.csv", "a.*"].map(|name| folder.path(name).to_str().unwrap().to_owned());
    let partitions = folder.cut(Inputs { input: &input, ..Inputs::new(b"", 1) }).unwrap();
    assert_eq!(
        table(&partitions).replace(folder.dir().to_str().unwrap(), "APP"),
        "APP/a.txt (1) \"a\"\nAPP/b.csv (1) \"b\"\n"
    );
    let mixed = [input[0].clone(), "-".to_owned()];
    insta::assert_snapshot!(refused(&folder, Inputs { input: &mixed, ..Inputs::new(b"", 1) }), @r"
    the input `-` (stdin) cannot be combined with other inputs
    (pipe all data in, or name files)
    ");
    insta::assert_snapshot!(refused(&folder, Inputs { input: &["~/x.txt".to_owned()], ..Inputs::new(b"", 1) }), @r"
    no file matches `~/x.txt` in the current folder
    (`~` is the home folder only to a shell, and only outside quotes: write its whole path)
    ");
}

#[test]
fn files_are_no_longer_looked_for_once_the_query_has_ended() {
    let folder = Folder::app("[source]\nkind = \"files\"\nglob = \"**/*.txt\"\n");
    (0..100).for_each(|name| folder.write(&format!("{name}.txt"), "x"));
    let inputs = Inputs::new(b"", 1);
    inputs.cancel.cancel();
    insta::assert_snapshot!(refused(&folder, inputs), @"the query ended while its files were being looked for");
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
    let input = [input.to_str().unwrap().to_owned()];
    let given = |piece_size| Inputs { input: &input, piece_size, ..Inputs::new(b"", 1) };
    let shown =
        |folder: &Folder, inputs| table(&folder.cut(inputs).unwrap()).replace(folder.dir().to_str().unwrap(), "APP");
    insta::assert_snapshot!(shown(&folder, given(None)), @r#"APP/given/a.txt (6) "abc\nd\n""#);
    insta::assert_snapshot!(shown(&folder, given(Some(PieceSize::Bytes(5)))), @r#"
    APP/given/a.txt#0+4 (4) "abc\n"
    APP/given/a.txt#4+2 (2) "d\n"
    "#);
    let dash = ["-".to_owned()];
    let dash = Inputs { input: &dash, ..with_stdin(1, "a\n") };
    insta::assert_snapshot!(shown(&folder, dash), @r#"stdin#0+2 (2) "a\n""#);
    // The app's cut mode still applies.
    folder.write(
        "frond.toml",
        format!("{}[source]\nkind = \"files\"\nglob = \"x\"\ncut = \"bytes\"\n", crate::testing::COMPONENTS),
    );
    insta::assert_snapshot!(shown(&folder, given(Some(PieceSize::Bytes(5)))), @r#"
    APP/given/a.txt#0+3 (3) "abc"
    APP/given/a.txt#3+3 (3) "\nd\n"
    "#);
    folder = Folder::app("[source]\nkind = \"query\"\n");
    let nowhere = ["no/such/*.file".to_owned()];
    let nowhere = Inputs { input: &nowhere, ..Inputs::new(b"", 1) };
    insta::assert_snapshot!(refused(&folder, nowhere), @r"
    no file matches `no/such/*.file` in the current folder
    (paths start from the current folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
}

#[test]
fn an_input_starts_from_the_current_folder() {
    let folder = Folder::app("[source]\nkind = \"query\"\n");
    // Tests run in the folder of their crate.
    for input in ["Cargo.toml", "./Cargo.toml", "Cargo.*", "[C]argo.toml"] {
        let partitions = folder.cut(Inputs { input: &[input.to_owned()], ..Inputs::new(b"", 1) }).unwrap();
        let keys: Vec<_> = partitions.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["Cargo.toml"], "{input}");
    }
    let partitions = folder.cut(Inputs { input: &["src/size".to_owned()], ..Inputs::new(b"", 1) }).unwrap();
    assert_eq!(partitions[0].key.as_str(), "src/size/tests.rs");
    assert!(partitions[0].content.whole().unwrap().starts_with(b"//!"));
}

#[test]
fn a_piece_size_that_cannot_be_is_refused() {
    let sized = |bytes| Inputs { piece_size: Some(PieceSize::Bytes(bytes)), ..Inputs::new(b"", 1) };
    let mut folder = Folder::app("[source]\nkind = \"stdin\"\n");
    insta::assert_snapshot!(refused(&folder, sized(0)), @r#"
    pieces of 0 bytes never reach the end
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

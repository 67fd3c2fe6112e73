//! Tests that the tree is tidy, and that each rule can fail.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test where it is")]

use std::path::{Path, PathBuf};

use frond_testkit::limits::{self, Listed};
use frond_testkit::tidy::{self, Complaint};
use tempfile::TempDir;

type Rule = fn(&Path) -> Vec<Complaint>;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tree(files: &[(&str, &str)]) -> TempDir {
    let tree = TempDir::new().unwrap();
    for (path, text) in files {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    tree
}

/// Places of the rule's complaints, as `file:line`.
fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    let place = |one: Complaint| {
        assert!(!one.rule.is_empty() && !one.remedy.is_empty());
        format!("{}:{}", one.file.display(), one.line)
    };
    rule(tree(files).path()).into_iter().map(place).collect()
}

fn manifest(lines: &str) -> String {
    format!("[package]\nname = \"frond-test\"\n\n{lines}\n")
}

#[test]
fn this_tree_is_tidy() {
    let complaints = tidy::all(&project());
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} complaints:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn a_complaint_says_where_what_and_what_to_do() {
    let tree = tree(&[("host/app/src/lib.rs", "use a::b;\n")]);
    let complaints = tidy::openings(tree.path());
    assert_eq!(
        complaints[0].to_string(),
        "host/app/src/lib.rs:1: the file does not say what it is for\n  \
         (open it with `//!` and a sentence on what the file is for)"
    );
}

#[test]
fn a_technology_is_kept_within_its_fence() {
    let with =
        |folder: &str, lines: &str| found(tidy::fences, &[(&format!("host/{folder}/Cargo.toml"), &manifest(lines))]);
    assert_eq!(with("app", "[dependencies]\nwasmtime-wasi = \"1\""), ["host/app/Cargo.toml:5"]);
    assert_eq!(with("root", "[dev-dependencies]\naxum.workspace = true"), ["host/root/Cargo.toml:5"]);
    assert_eq!(with("server", "[dependencies]\nsqlx = { version = \"1\" }"), ["host/server/Cargo.toml:5"]);
    assert_eq!(with("server", "[dependencies.rusqlite]\nversion = \"1\""), ["host/server/Cargo.toml:4"]);
    assert_eq!(with("jobs", "[target.'cfg(unix)'.dependencies]\nasync-nats = \"1\""), ["host/jobs/Cargo.toml:5"]);
    assert_eq!(
        with("app", "[dependencies]\nengine = { package = \"wasmtime\", version = \"1\" }"),
        ["host/app/Cargo.toml:5"]
    );
    assert_eq!(with("cli", "[build-dependencies]\nwit-bindgen = \"1\""), ["host/cli/Cargo.toml:5"]);
    let inside =
        [("sandbox", "wasmtime"), ("server", "axum"), ("jobs", "sqlx"), ("broker", "async-nats"), ("app", "watch")];
    for (folder, technology) in inside {
        assert!(with(folder, &format!("[dependencies]\n{technology} = \"1\"")).is_empty(), "{technology}");
    }
    assert!(with("bench", "[dependencies]\nwasmtime = \"1\"").is_empty());
    assert!(found(tidy::fences, &[("plugins/x/Cargo.toml", &manifest("[dependencies]\nwasip2 = \"1\""))]).is_empty());
}

#[test]
fn members_are_tested_with_every_check() {
    let file = "host/app/Cargo.toml";
    let with = |checked: &str| {
        let settings = format!("[profile.release.package.{checked}]\ndebug-assertions = true\n");
        found(tidy::unchecked, &[(file, &manifest("")), (".cargo/test.toml", &settings)])
    };
    assert_eq!(with("frond-other"), ["host/app/Cargo.toml:1"]);
    assert!(with("frond-test").is_empty());
    assert_eq!(found(tidy::unchecked, &[("plugins/x/Cargo.toml", &manifest(""))]), ["plugins/x/Cargo.toml:1"]);
    assert!(found(tidy::unchecked, &[("host/fuzz/Cargo.toml", &manifest(""))]).is_empty());
}

#[test]
fn crates_know_only_whom_they_should() {
    let knows = |folder: &str, other: &str| {
        let lines = format!("[dependencies]\n{other}.workspace = true");
        found(tidy::acquaintances, &[(&format!("{folder}/Cargo.toml"), &manifest(&lines))])
    };
    let refused = [
        ("host/root", "frond-app"),
        ("host/root", "frond-testkit"),
        ("host/sandbox", "frond-app"),
        ("host/app", "frond-sandbox"),
        ("host/jobs", "frond-broker"),
        ("host/server", "frond-sandbox"),
        ("host/cli", "frond-testkit"),
        ("host/cli", "frond-bench"),
        ("host/app", "frond-plugin"),
        ("plugins/grep", "frond-root"),
    ];
    for (folder, other) in refused {
        assert_eq!(knows(folder, other), [format!("{folder}/Cargo.toml:5")], "{other}");
    }
    let allowed = [
        ("host/sandbox", "frond-root"),
        ("host/server", "frond-jobs"),
        ("host/cli", "frond-sandbox"),
        ("plugins/grep", "frond-plugin"),
    ];
    for (folder, other) in allowed {
        assert!(knows(folder, other).is_empty(), "{folder} {other}");
    }
    let for_tests = manifest("[dependencies]\nbytes = \"1\"\n[dev-dependencies]\nfrond-testkit.workspace = true");
    assert!(found(tidy::acquaintances, &[("host/root/Cargo.toml", &for_tests)]).is_empty());
    assert_eq!(knows("host/elsewhere", "bytes"), ["host/elsewhere/Cargo.toml:1"]);
}

#[test]
fn a_source_is_no_longer_than_it_may_be() {
    let lines = |count: usize| format!("//! Comments are free.\n{}", "f();\n".repeat(count));
    let long = lines(401);
    assert_eq!(found(tidy::lengths, &[("host/app/src/a.rs", &long)]), ["host/app/src/a.rs:401"]);
    assert_eq!(found(tidy::lengths, &[("plugins/grep/src/lib.rs", &long)]), ["plugins/grep/src/lib.rs:401"]);
    for exempt in ["host/app/src/a/tests.rs", "host/app/tests/a.rs", "host/app/src/tests/data.rs", "host/target/a/b.rs"]
    {
        assert!(found(tidy::lengths, &[(exempt, &long)]).is_empty(), "{exempt}");
    }
    assert!(found(tidy::lengths, &[("host/app/src/a.rs", &lines(400))]).is_empty());
    let tests = format!("{}mod tests {{\n{long}", lines(399));
    assert!(found(tidy::lengths, &[("host/app/src/a.rs", &tests)]).is_empty());
}

#[test]
fn doc_lines_stand_alone_and_fit_the_page() {
    let with = |path: &str, line: &str| found(tidy::docs, &[(path, &format!("//! A source.\n{line}\n"))]);
    let refused = [
        "/// What it is.",
        "//! Who asks.",
        "    /// Whoever asks.",
        "/// Those.",
        "/// The same with more.",
        "/// So many.",
    ];
    for line in refused {
        assert_eq!(with("host/app/src/a.rs", line), ["host/app/src/a.rs:2"], "{line}");
        assert_eq!(with("host/app/tests/a.rs", line), ["host/app/tests/a.rs:2"], "{line}");
    }
    let long = format!("/// {}", "x".repeat(97));
    assert_eq!(with("host/app/src/a.rs", &long), ["host/app/src/a.rs:2"]);
    assert!(with("host/cli/src/args/new.rs", &long).is_empty(), "clap wraps it");
    for line in ["/// Whatever", "// What is left", "/// Somewhat.", "/// State of a query.", &long[1..]] {
        assert!(with("host/app/src/a.rs", line).is_empty(), "{line}");
    }
}

#[test]
fn every_type_has_a_meaning_that_stands_alone() {
    let with = |code: &str| found(tidy::types, &[("host/app/src/a.rs", &format!("//! A source.\n{code}\n"))]);
    for code in ["struct A;", "pub(crate) enum A {", "    struct A {", "unsafe trait A {", "type A = B;", "union A {"] {
        assert_eq!(with(code), ["host/app/src/a.rs:2"], "{code}");
        assert_eq!(with(&format!("/// Its name.\n{code}")), ["host/app/src/a.rs:3"], "{code}");
        let documented = format!("/// A value. More.\n///\n/// More.\n#[derive(\n    Clone,\n)]\n#[x]\n{code}");
        assert!(with(&documented).is_empty(), "{code}");
        assert_eq!(with(&format!("/// Another.\nfn a() {{\n{code}")), ["host/app/src/a.rs:4"], "{code}");
    }
    for code in ["    type A = B;", "struct $name;", "// struct A;", "mod tests {\nstruct A;", "let structure = A;"] {
        assert!(with(code).is_empty(), "{code}");
    }
}

#[test]
fn the_list_of_types_is_compared_with_the_code() {
    let source = ("host/app/src/a.rs", "//! A source.\n\n/// A | B. More.\nstruct A;\n");
    let list = tidy::list_types(tree(&[source]).path());
    assert!(list.ends_with("## host/app\n\n| file | type | meaning |\n|---|---|---|\n| src/a.rs | `A` | A \\| B. |\n"));
    assert!(found(tidy::type_list, &[source, (tidy::TYPES, &list)]).is_empty());
    assert_eq!(found(tidy::type_list, &[source, (tidy::TYPES, &list.replace("B.", "C."))]), ["host/TYPES.md:9"]);
    assert_eq!(found(tidy::type_list, &[source]), ["host/TYPES.md:1"]);
}

/// Writes the list of types: `make types` runs it.
#[test]
#[ignore = "it writes a file of the tree"]
fn the_list_of_types_is_written() {
    std::fs::write(project().join(tidy::TYPES), tidy::list_types(&project())).unwrap();
}

#[test]
fn code_packs_nothing() {
    let with = |line: &str| found(tidy::packed, &[("host/app/src/a.rs", &format!("//! A source.\n{line}\n"))]);
    for line in ["let (a, b) = (1, 2);", "    let (mut a, _b) = (x(), y());", "true => 1,", "false if a => 1,"] {
        assert_eq!(with(line), ["host/app/src/a.rs:2"], "{line}");
    }
    for line in
        ["let (a, b) = f();", "let Some((a, b)) = c else {", "let truth = true;", "if true {", "(true, false) => 1,"]
    {
        assert!(with(line).is_empty(), "{line}");
    }
}

#[test]
fn a_source_says_first_what_it_is_for() {
    for path in ["host/app/src/a.rs", "plugins/grep/src/tests.rs", "host/app/tests/a.rs", "host/app/build.rs"] {
        assert_eq!(found(tidy::openings, &[(path, "\n//! Late.\n")]), [format!("{path}:1")]);
        assert!(found(tidy::openings, &[(path, "//! In time.\n")]).is_empty());
    }
}

#[test]
fn files_do_not_import_each_other() {
    let with = |a: &str, b: &str| {
        let parent = "//! A crate.\nmod a;\nmod b;\n\npub use a::A;\npub use b::{B, b as call};\n";
        let file = |code: &str| format!("//! A file.\n{code}\n");
        let files = [("lib.rs", parent.to_owned()), ("a.rs", file(a)), ("b.rs", file(b))];
        let paths = files.map(|(name, text)| (format!("host/cli/src/{name}"), text));
        found(tidy::circles, &paths.each_ref().map(|(path, text)| (path.as_str(), text.as_str())))
    };
    let both = ["host/cli/src/a.rs:2", "host/cli/src/b.rs:2"];
    for (a, b) in [
        ("use crate::b::B;", "use crate::a::A;"),
        ("use super::b::{self, B};", "fn b() -> super::a::A {}"),
        ("use crate::{B, C};", "const A: &str = f(\"a // b\", crate::A);"),
        ("use super::b as other; type X = other::B;", "use std::{fmt, io}; use crate::a::{A, C};"),
        ("fn a() { crate::call(x as usize) }", "use super::A as Z;"),
    ] {
        assert_eq!(with(a, b), both, "{a} {b}");
    }
    let none: [&str; 0] = [];
    for (a, b) in [
        ("use crate::b::B;", "// use crate::a::A;"),
        ("use crate::b::B;", "const A: &str = \"crate::a::A\";"),
        ("use crate::b::B;", "mod tests {\n    use crate::a::A;\n}"),
        ("use crate::b::B;", "pub(crate) use crate::a::A;"),
        ("use crate::b::B;", "pub(in crate::a) fn b() -> impl Sized + use<'_> {}"),
        ("use crate::b;", "use other::A;"),
    ] {
        assert_eq!(with(a, b), none, "{a} {b}");
    }
    let parent = "//! A parent.\nmod child;\nuse child::Child;\nstruct Parent;";
    let family = |child: &str| {
        let files = [("lib.rs", "mod parent;"), ("parent.rs", parent), ("parent/child.rs", child)];
        let paths = files.map(|(name, text)| (format!("host/cli/src/{name}"), text));
        found(tidy::circles, &paths.each_ref().map(|(path, text)| (path.as_str(), *text)))
    };
    assert_eq!(family("use super::Parent;"), ["host/cli/src/parent.rs:3", "host/cli/src/parent/child.rs:1"]);
    assert_eq!(family("use super::child::Child;"), none);
    let ring = [("a", "b"), ("b", "c"), ("c", "a")]
        .map(|(file, next)| (format!("host/cli/src/{file}.rs"), format!("use crate::{next}::From{next};")));
    assert_eq!(found(tidy::circles, &ring.each_ref().map(|(path, text)| (path.as_str(), text.as_str()))).len(), 3);
}

#[test]
fn time_is_kept_where_it_is_kept() {
    let with = |folder: &str, code: &str| {
        found(tidy::clocks, &[(&format!("host/{folder}/src/a.rs"), &format!("//!\n{code}"))])
    };
    let tokio = [
        "use tokio::time::Instant;",
        "use tokio::{sync::Notify, time};",
        "use tokio::{time::{sleep, Instant}, sync};",
        "    let now = tokio::time::Instant::now();",
        "fn f(until: Option<tokio::time::Instant>) {}",
    ];
    for code in tokio {
        assert_eq!(with("app", code), ["host/app/src/a.rs:2"], "{code}");
        assert!(with("root", code).is_empty(), "{code}");
        assert!(with("jobs", code).is_empty(), "{code}");
    }
    assert_eq!(with("app", "use tokio::{\n    sync::Notify,\n    time::Instant,\n};"), ["host/app/src/a.rs:4"]);
    let system = [
        "use std::time::Instant;",
        "use std::time::{Duration, Instant};",
        "use std::{sync::Arc, time::{Duration, Instant}};",
        "    let start = std::time::Instant::now();",
    ];
    for code in system {
        assert_eq!(with("root", code), ["host/root/src/a.rs:2"], "{code}");
        assert!(with("app", code).is_empty(), "{code}");
    }
    let innocent = [
        "// tokio::time and std::time::Instant",
        "    let text = \"tokio::time\";",
        "use std::time::{Duration, SystemTime};\nuse tokio::{sync, task};",
        "fn time(tokio: u8) {}",
    ];
    for code in innocent {
        assert!(with("app", code).is_empty() && with("root", code).is_empty(), "{code}");
    }
}

#[test]
fn files_are_read_with_a_bound() {
    let with = |path: &str, code: &str| found(tidy::readers, &[(path, &format!("//!\n{code}\n"))]);
    for code in ["let text = fs::read_to_string(path)?;", "let bytes = std::fs::read(path)?;", "File::open(path)"] {
        assert_eq!(with("host/app/src/a.rs", code), ["host/app/src/a.rs:2"], "{code}");
        assert!(with("host/app/src/a/tests.rs", code).is_empty(), "{code}");
        assert!(with("host/app/src/a.rs", &format!("mod tests {{\n{code}")).is_empty(), "{code}");
        assert!(with("host/cli/src/record.rs", code).is_empty(), "{code}");
    }
    for code in ["fs::read_dir(path)", "fs::read_link(path)", "// fs::read(path)", "frond_files::read(path, 9)"] {
        assert!(with("host/app/src/a.rs", code).is_empty(), "{code}");
    }
}

#[test]
fn bounds_are_listed_with_their_values() {
    let with = |source: &str, rows: &str| {
        let list = format!("| constant | value | bounds |\n|---|---|---|\n{rows}");
        found(tidy::bounds, &[("host/app/src/a.rs", source), ("host/docs/limits.md", &list)])
    };
    let row = |value: &str| format!("| `app/src/a.rs` `MAX_X` | {value} | x |\n");
    let none: [&str; 0] = [];
    for (written, values) in [
        ("usize = 1 << 20", &["1 MiB", "1,024 KiB", "1,048,576"][..]),
        ("pub u64 = (1 << 20) + (256 << 10)", &["1,280 KiB"]),
        ("pub(crate) Duration = Duration::from_secs(24 * 60 * 60)", &["1 days", "24 h", "1,440 min", "86,400 s"]),
        ("Duration = Duration::from_micros(250)", &["250 µs"]),
        ("(u32, u64) = (1_000, 32 << 20)", &["1,000, 32 MiB"]),
        ("u64 = OTHER / 2", &["`OTHER / 2`"]),
    ] {
        let (public, written) =
            written.split_once(' ').filter(|(start, _)| start.starts_with("pub")).unwrap_or(("", written));
        let source = format!("//!\n/// Most.\n{public} const MAX_X: {written};\n");
        for value in values {
            assert_eq!(with(&source, &row(value)), none, "{written}: {value}");
        }
        assert_eq!(with(&source, ""), ["host/app/src/a.rs:3"], "{written}");
        assert_eq!(with(&source, &row("7")), ["host/app/src/a.rs:3"], "{written}");
    }
    assert_eq!(with("//!\n", &row("7")), ["host/docs/limits.md:3"], "a constant that is gone");
    for innocent in
        ["const X: &str = \"1\";", "const X: f64 = 0.1;", "static X: u64 = 1;", "const X: [u8; 2] = [1, 2];"]
    {
        assert_eq!(with(&format!("//!\n{innocent}\n"), ""), none, "{innocent}");
    }
    for elsewhere in ["host/app/tests/a.rs", "host/app/src/tests.rs", "host/bench/src/a.rs", "plugins/a/src/lib.rs"] {
        assert_eq!(found(tidy::bounds, &[(elsewhere, "//!\nconst MAX_X: u64 = 1;\n")]), none, "{elsewhere}");
    }
    // A constant that is exempt by name.
    assert_eq!(found(tidy::bounds, &[("host/app/src/fuzzing.rs", "//!\nconst LIMIT: u64 = 1;\n")]), none);
}

#[test]
fn settings_are_listed_with_their_defaults() {
    let listed = Listed::parse("| key | default |\n|---|---|\n| `a.one` | 1 |\n| `a.two` | 2 | more |\ntext\n");
    let setting = |key: &str, default: &str| (key.to_owned(), default.to_owned());
    assert!(listed.missing([setting("a.one", "1"), setting("a.two", "2")]).is_empty());
    assert_eq!(listed.missing([setting("a.one", "2"), setting("a.three", "3")]).len(), 2);
    assert_eq!(listed.unknown("a.", &["a.one".to_owned()]), ["a.two"]);
    assert_eq!((limits::number(1_234_567), limits::number(100)), ("1,234,567".to_owned(), "100".to_owned()));
    assert_eq!([1 << 30, 3 << 10, 1001].map(limits::size), ["1 GiB", "3 KiB", "1,001 bytes"].map(str::to_owned));
    let times = [86_400_000, 60_000, 600_000, 1_500].map(|ms| limits::time(std::time::Duration::from_millis(ms)));
    assert_eq!(times, ["24 h", "60 s", "10 min", "1,500 ms"].map(str::to_owned));
}

#[test]
fn no_text_names_a_place_on_one_machine() {
    let with = |name: &str, text: &str| found(tidy::places, &[(name, text)]);
    // In two parts, as the rule reads this file, too.
    for folder in [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")] {
        for line in
            [format!("{folder}x"), format!("see `{folder}x`"), format!("a=\"{folder}x\""), format!("({folder})")]
        {
            assert_eq!(with("README.md", &format!("\n{line}\n")), ["README.md:2"], "{line}");
        }
        let relative = format!("host{folder}src and ../..{folder} and $HOME{folder}");
        assert!(with("host/README.md", &relative.replace("$HOME", "~")).is_empty(), "{relative}");
    }
    let registry = concat!("see https://index.", "crates.io/x");
    assert_eq!(with("docs/a.txt", registry), ["docs/a.txt:1"]);
    for skipped in ["Cargo.lock", "target/a.txt", ".git/config", ".tools/a", "examples/a/node_modules/b.js"] {
        assert!(with(skipped, registry).is_empty(), "{skipped}");
    }
    assert!(with("README.md", "https://docs.rs/frond and https://crates.io").is_empty());
}

//! `frond run-test` as the runner of a crate's tests: with cargo test, with nextest, and directly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use insta::assert_snapshot;
use kit::{Folder, cache, frond, skip};

const TESTS: &str = r#"
pub fn half(number: u32) -> u32 {
    assert!(number % 2 == 0, "{number} is odd");
    number / 2
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    #[test] fn halves() { assert_eq!(super::half(4), 2); }
    #[test] fn prints() { println!("to stdout"); eprintln!("to stderr"); }
    #[test] #[should_panic] fn should_panic() { panic!("as it should") }
    #[test] fn has_nothing() {
        assert!(std::fs::read("/etc/hostname").is_err());
        assert!(std::fs::write("left-behind", "").is_err());
        assert!(std::env::var_os("HOME").is_none() && std::env::var_os("SECRET").is_none());
        assert!(std::net::TcpStream::connect("127.0.0.1:80").is_err());
        assert_eq!(std::io::read_to_string(std::io::stdin()).unwrap(), "");
    }

    #[test] #[ignore] fn fails() { super::half(3); }
    #[test] #[ignore] fn loops() { let mut n = 0_u64; loop { n = black_box(n + 1); } }
    #[test] #[ignore] fn allocates() { let mut all = Vec::new(); loop { all.push(black_box(vec![1_u8; 1 << 20])); } }
    #[test] #[ignore] fn sleeps() { std::thread::sleep(std::time::Duration::from_secs(600)); }
    #[test] #[ignore] fn exits() { std::process::exit(3); }
    #[test] #[ignore] fn evil() { println!("\x1b[2J\x1b]0;t\x07"); }
}
"#;

/// Returns a crate outside of any workspace, with only std as a dependency.
fn the_crate() -> &'static Folder {
    static CRATE: OnceLock<Folder> = OnceLock::new();
    CRATE.get_or_init(|| {
        let folder = Folder::new();
        folder.write("Cargo.toml", "[package]\nname = \"guest\"\nedition = \"2024\"\n\n[workspace]\n");
        folder.write("src/lib.rs", TESTS);
        let runner = format!("[target.wasm32-wasip2]\nrunner = [{:?}, \"run-test\"]\n", env!("CARGO_BIN_EXE_frond"));
        folder.write(".cargo/config.toml", runner);
        folder
    })
}

/// Runs `cargo` in the crate's folder, for the guests' target.
fn cargo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    for unset in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUST_TEST_NOCAPTURE", "NEXTEST_PROFILE"]
    {
        command.env_remove(unset);
    }
    command.args(args).env("CARGO_NET_OFFLINE", "true").env("CARGO_BUILD_TARGET", "wasm32-wasip2");
    command.current_dir(the_crate().dir()).env("FROND_CACHE", cache()).env("SECRET", "1").env("COLUMNS", "120");
    command.output().expect("cargo runs")
}

/// Returns the path of the crate's test binary.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let built = cargo(&["test", "--no-run", "--message-format=json"]);
        assert!(built.status.success(), "{}", text(&built.stderr));
        let executable = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["executable"].as_str().map(PathBuf::from)
        };
        text(&built.stdout).lines().find_map(executable).expect("a test binary")
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs one test alone, and returns the exit code and stderr.
fn alone(name: &str, limits: &[(&str, &str)]) -> String {
    let mut run = frond(["run-test"]).arg(binary()).args(["--include-ignored", "--exact", name]).env("COLUMNS", "120");
    for (name, value) in limits {
        run = run.env(name, value);
    }
    let ended = run.run();
    format!("exit {}\n{}", ended.code.unwrap(), ended.err().trim())
}

#[test]
fn cargo_test_runs_them() {
    let _built = binary();
    let ended = cargo(&["test", "--lib"]);
    let out = text(&ended.stdout);
    let err = text(&ended.stderr);
    assert!(ended.status.success(), "{out}{err}");
    assert!(out.contains("test result: ok. 3 passed; 0 failed; 7 ignored"), "{out}");
    assert!(out.contains("to stdout") && err.contains("to stderr"), "{out}{err}");
}

#[test]
fn cargo_test_tells_of_one_that_fails() {
    let _built = binary();
    let ended = cargo(&["test", "--lib", "--", "--include-ignored", "fails"]);
    let out = text(&ended.stdout);
    let err = text(&ended.stderr);
    assert!(!ended.status.success(), "{out}{err}");
    assert!(out.contains("test tests::fails ... "), "{out}{err}");
    assert!(err.contains("panicked at src/lib.rs") && err.contains("3 is odd"), "{err}");
    assert!(err.contains("stopped: trap: panicked") && err.contains("1: guest::tests::fails"), "{err}");
    assert!(err.contains("`cargo nextest run` runs each by itself"), "{err}");
}

#[test]
fn nextest_runs_each_by_itself() {
    if !Command::new("cargo-nextest").arg("--version").output().is_ok_and(|found| found.status.success()) {
        return skip("cargo-nextest is missing (cargo install cargo-nextest)");
    }
    let _built = binary();
    let ended =
        cargo(&["nextest", "run", "--no-fail-fast", "--run-ignored", "all", "-E", "test(/prints|halves|fails|exits/)"]);
    let err = text(&ended.stderr);
    assert!(!ended.status.success(), "{err}");
    assert!(err.contains("4 tests run: 2 passed, 2 failed"), "{err}");
    assert!(err.contains("3 is odd") && err.contains("guest::half"), "{err}");
    let listed = cargo(&["nextest", "list"]);
    assert!(text(&listed.stdout).contains("tests::has_nothing"), "{}", text(&listed.stderr));
}

#[test]
fn a_failed_assertion() {
    assert_snapshot!(alone("tests::fails", &[]), @"
    exit 1
    thread 'main' (1) panicked at src/lib.rs:3:5:
    3 is odd
    note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

    stopped: trap: panicked or aborted (wasm `unreachable` instruction executed)
       0: guest::half
       1: guest::tests::fails
       2: guest::tests::fails::{{closure}}
    ");
}

#[test]
fn a_test_that_never_ends() {
    assert_snapshot!(alone("tests::loops", &[]), @"
    exit 1
    stopped: out-of-fuel: used up its fuel: FROND_TEST_FUEL is 1,000,000,000; raise it with `FROND_TEST_FUEL=…`
       0: guest::tests::loops
       1: guest::tests::loops::{{closure}}
    ");
    let outcome = alone("tests::loops", &[("FROND_TEST_FUEL", "0"), ("FROND_TEST_TIME", "300ms")]);
    let stopped = "exit 1\nstopped: out-of-time: still running when its time was up: FROND_TEST_TIME is 300 ms;";
    assert!(outcome.starts_with(stopped) && outcome.contains(": guest::tests::loops"), "{outcome}");
    let outcome = alone("tests::sleeps", &[("FROND_TEST_TIME", "300ms")]);
    assert!(outcome.starts_with(stopped) && outcome.contains(": guest::tests::sleeps"), "{outcome}");
}

#[test]
fn a_test_that_wants_all_memory() {
    let outcome = alone("tests::allocates", &[("FROND_TEST_MEMORY", "24MiB")]);
    assert!(outcome.starts_with("exit 1\nstopped: out-of-memory: asked for "), "{outcome}");
    assert!(outcome.contains("0: guest::tests::allocates"), "{outcome}");
    assert!(outcome.contains("FROND_TEST_MEMORY is 24 MiB;"), "{outcome}");
}

#[test]
fn exits_and_what_is_handed_on() {
    assert_eq!(alone("tests::exits", &[]), "exit 1\n");
    assert_eq!(alone("tests::prints", &[]), "exit 0\nto stderr");
    // A pipe gets the bytes unchanged.
    let ended = frond(["run-test"]).arg(binary()).args(["--include-ignored", "--exact", "tests::evil"]).run().expect(0);
    assert!(ended.out().contains("\x1b[2J\x1b]0;t\x07\n"), "{}", ended.out());
    assert!(!the_crate().path("left-behind").exists());
    let listed = frond(["run-test"]).arg(binary()).args(["--list", "--format", "terse"]).run().expect(0);
    assert!(listed.out().contains("tests::halves: test\n"), "{}", listed.out());
}

#[test]
fn what_is_no_program() {
    let folder = Folder::with_app("pi", "");
    let error = |args: &str| folder.frond(args).run().expect(64).err();
    assert_snapshot!(error("run-test app/pi.wasm"), @"
    error: `app/pi.wasm`: does not export wasi:cli/run@0.2.x, it exports frond:plugin/merge-partials@0.1.1, frond:plugin/process-partition@0.1.1
    (it is not a program: a test binary is one, and so is a crate with a `main`)
    ");
    assert_snapshot!(error("run-test gone.wasm"), @"error: `gone.wasm`: cannot be read: No such file or directory (os error 2)");
    folder.write("text.wasm", "text");
    assert_snapshot!(error("run-test text.wasm"), @r#"
    error: `text.wasm`: is not WebAssembly: it begins with "text"
    (a leaf is a component, such as cargo builds for wasm32-wasip2)
    "#);
    let wrong = folder.frond("run-test app/pi.wasm").env("FROND_TEST_TIME", "soon").run().expect(64).err();
    assert_snapshot!(wrong, @"
    error: the variable FROND_TEST_TIME: `soon` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    ");
}

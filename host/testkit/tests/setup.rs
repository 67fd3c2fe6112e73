//! Tests of the scripts that prepare a machine: they announce their actions, and do nothing if
//! declined. Also tests of the task runner, which reports every failure.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test where it is")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A machine with scripted programs: each has a name and the body of a shell script.
fn machine(programs: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, body) in programs {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Runs a script of `.ci` on that machine, which has no programs but these and the shell's; returns
/// exit code and output.
fn run(machine: &TempDir, script: &str, args: &[&str], set: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new("/bin/sh");
    command.arg(project().join(".ci").join(script)).args(args);
    command.env_clear().env("PATH", machine.path()).envs(set.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

const ROOT: (&str, &str) = ("id", "echo 0");
/// Written to stderr, as the script hides its stdout.
const APT: (&str, &str) = ("apt-get", "echo \"apt-get $*\" >&2");

fn install(machine: &TempDir, set: &[(&str, &str)]) -> (i32, String) {
    run(machine, "install-packages", &["the tests of x", "one", "two"], set)
}

#[test]
fn packages_are_announced_with_the_way_to_decline_before_they_are_installed() {
    let machine = machine(&[ROOT, ("apt-get", "echo \"apt-get $*\" >>\"$LOG\"; cat \"$SAID\" >>\"$LOG\"")]);
    let log = machine.path().join("log");
    let output = machine.path().join("said");
    // The output up to the installation is in the file that receives stdout.
    let mut command = Command::new("/bin/sh");
    command.arg(project().join(".ci/install-packages")).args(["the tests of x", "one", "two"]);
    command.env_clear().env("PATH", format!("{}:/bin:/usr/bin", machine.path().display()));
    command.env("LOG", &log).env("SAID", &output).stdout(fs::File::create(&output).unwrap());
    assert!(command.status().unwrap().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.starts_with("apt-get install -y -q --no-install-recommends one two\n"), "{log}");
    assert!(log.contains("for the tests of x: apt-get install one two"), "{log}");
    assert!(log.contains("FROND_NO_INSTALL=1"), "{log}");
}

#[test]
fn a_person_s_no_is_kept_and_told() {
    let machine = machine(&[ROOT, APT]);
    let (code, text) = install(&machine, &[("FROND_NO_INSTALL", "1")]);
    assert_eq!(code, 1);
    assert_eq!(
        text,
        "not installed, for the tests of x: one two\n  (FROND_NO_INSTALL=1 is set; what needs it is skipped)\n"
    );
}

#[test]
fn ci_is_not_asked() {
    let machine = machine(&[ROOT, APT]);
    let (code, text) = install(&machine, &[("CI", "true"), ("FROND_NO_INSTALL", "1")]);
    assert_eq!(code, 0);
    assert!(text.contains("apt-get install -y -q --no-install-recommends one two"), "{text}");
    assert!(!text.contains("FROND_NO_INSTALL"), "{text}");
}

#[test]
fn without_root_or_apt_nothing_is_tried() {
    for programs in [&[("id", "echo 1000"), APT][..], &[ROOT]] {
        let (code, text) = install(&machine(programs), &[]);
        assert_eq!(code, 1);
        assert_eq!(
            text,
            "not installed, for the tests of x: one two\n  \
             (install it with your package manager; what needs it is skipped)\n"
        );
    }
}

#[test]
fn an_installation_that_fails_is_tried_with_a_new_list_and_then_told() {
    let machine = machine(&[ROOT, ("apt-get", "echo \"apt-get $*\" >&2; test \"$1\" = update")]);
    let (code, text) = install(&machine, &[]);
    assert_eq!(code, 1);
    assert_eq!(text.matches("apt-get install -y").count(), 2, "{text}");
    assert!(text.contains("apt-get update -q") && text.contains("apt-get could not: see above"), "{text}");
}

#[test]
fn no_other_script_installs_packages() {
    let ci = fs::read_dir(project().join(".ci")).unwrap().map(|entry| entry.unwrap().path());
    let files = ci.chain([project().join("Makefile")]);
    let installs = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("apt-get install");
    let found: Vec<_> = files.filter(installs).map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(found, ["install-packages"]);
}

#[test]
fn a_system_that_frond_does_not_run_on_is_told_so_in_one_sentence() {
    let system = |name: &str, machine_name: &str| {
        let uname = format!("case \"$1\" in -s) echo {name} ;; -m) echo {machine_name} ;; esac");
        run(&machine(&[("uname", &uname)]), "check-system", &[], &[])
    };
    for machine_name in ["x86_64", "aarch64"] {
        assert_eq!(system("Linux", machine_name), (0, String::new()));
    }
    for (name, machine_name) in [("Darwin", "arm64"), ("Linux", "riscv64"), ("FreeBSD", "x86_64")] {
        let sentence = format!("Frond runs on Linux, on x86-64 and aarch64: this is {name} on {machine_name}\n");
        assert_eq!(system(name, machine_name), (1, sentence));
    }
}

/// Runs `make test` in a folder with only the task runner, on a machine where everything succeeds
/// except the calls of cargo that `fails` matches. Returns exit code, stdout, and the calls of
/// cargo in order.
fn make_test(fails: &str) -> (i32, String, Vec<String>) {
    let cargo = format!("echo \"$*\" >>\"$LOG\"\ncase \"$*\" in {fails}) exit 101 ;; esac");
    let machine = machine(&[("cargo", &cargo), ("sh-of-ci", "")]);
    let folder = machine.path().join("project");
    let log = machine.path().join("log");
    fs::create_dir_all(folder.join(".ci")).unwrap();
    fs::copy(project().join("Makefile"), folder.join("Makefile")).unwrap();
    for script in fs::read_dir(project().join(".ci")).unwrap().map(|entry| entry.unwrap().file_name()) {
        fs::copy(machine.path().join("sh-of-ci"), folder.join(".ci").join(script)).unwrap();
    }
    let mut make = Command::new("make");
    make.arg("test").current_dir(folder).env_clear().env("LOG", &log);
    make.env("PATH", format!("{}:/bin:/usr/bin", machine.path().display()));
    let output = make.output().unwrap();
    let calls = fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), calls)
}

#[test]
fn every_step_of_the_tests_runs_and_what_failed_is_named_last() {
    let (code, output, whole) = make_test("nothing");
    assert_eq!((code, output.contains("failed")), (0, false), "{output}");
    let tests: Vec<_> = whole.iter().filter(|call| call.starts_with("test ")).collect();
    assert_eq!(tests.len(), 2, "{whole:?}");
    for call in tests {
        assert!(call.contains(" --no-fail-fast") && call.contains(" --config .cargo/test.toml"), "{call}");
    }
    let all = "lint, examples in the documentation, tests (their targets are named above)";
    let steps = [
        ("fmt*", "lint"),
        ("clippy*", "lint"),
        ("doc*", "lint"),
        ("*--doc*", "examples in the documentation"),
        ("*--tests*", "tests (their targets are named above)"),
        ("fmt*|clippy*|doc*|test*", all),
    ];
    for (fails, named) in steps {
        let (code, output, calls) = make_test(fails);
        assert_ne!(code, 0, "{fails}");
        assert_eq!(output.lines().last(), Some(format!("failed: {named}").as_str()), "{fails}");
        assert_eq!(calls, whole, "{fails}");
    }
}

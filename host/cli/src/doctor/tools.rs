//! Programs of others: their paths and versions.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Returns the output of a program that succeeds.
pub(super) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the path of a program.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Returns the first version in a text, such as 1.95.0, and its first two numbers.
pub(super) fn version(text: &str) -> Option<(&str, (u32, u32))> {
    let begins = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let word = text.split_whitespace().find(begins)?.trim_start_matches('v');
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let word = word.get(..end)?;
    let mut numbers = word.split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    Some((word, (major, numbers.next().and_then(Result::ok).unwrap_or(0))))
}

/// Returns the command that installs Debian packages; on other systems, returns `elsewhere`.
pub(super) fn packages(names: &str, elsewhere: &str) -> String {
    match find("apt-get") {
        Some(_) => format!("as root: apt-get install {names}"),
        None => elsewhere.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        assert_eq!(version("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"), Some(("1.95.0", (1, 95))));
        assert_eq!(version("v20.20.2"), Some(("20.20.2", (20, 20))));
        assert_eq!(version("Python 3.14.0rc1"), Some(("3.14.0", (3, 14))));
        assert_eq!(version("Debian clang version 19.1.7 (3~deb12u1)"), Some(("19.1.7", (19, 1))));
        assert_eq!(version("19"), Some(("19", (19, 0))));
        assert_eq!(version("no version"), None);
        assert_eq!(version(""), None);
    }
}

//! Folder of the build scripts' tools, and checks of its content.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::check::Check;
use super::tools::{find, packages};
use crate::args::Language;

/// A tool that a language's build script fetches: its name, the script, the script's variable with
/// the version, and a file that exists once the tool is complete.
struct Tool {
    name: &'static str,
    script: &'static str,
    variable: &'static str,
    folder: &'static str,
    witness: &'static str,
}

macro_rules! script {
    ($path:literal) => {
        include_str!(concat!("../../../../plugins/", $path, "/build.sh"))
    };
}

const PYTHON: Tool = Tool {
    name: "componentize-py",
    script: script!("rail-python"),
    variable: "COMPONENTIZE",
    folder: "python",
    witness: "componentize_py/__init__.py",
};
const JAVASCRIPT: Tool = Tool {
    name: "componentize-qjs",
    script: script!("rail-javascript"),
    variable: "COMPONENTIZE",
    folder: "javascript",
    witness: "ready",
};
const C: Tool = Tool {
    name: "wit-bindgen",
    script: script!("rail-c"),
    variable: "BINDGEN",
    folder: "c",
    witness: "bin/wit-bindgen",
};

/// Checks a language's tools folder and its content. Rust needs no such tools.
pub(super) fn checks(lang: Language) -> Vec<Check> {
    let tool = match lang {
        Language::Rust => return Vec::new(),
        Language::Python => PYTHON,
        Language::Javascript => JAVASCRIPT,
        Language::C => C,
    };
    let named = std::env::var_os("FROND_TOOLS").filter(|folder| !folder.is_empty());
    let mut checks = vec![folder(named.as_ref()), tool.check(named.as_ref().map(Path::new))];
    if matches!(lang, Language::Python | Language::Javascript) {
        checks.push(compiler());
    }
    checks
}

fn folder(named: Option<&OsString>) -> Check {
    const NAME: &str = "tools folder";
    let Some(path) = named.map(PathBuf::from) else {
        return Check::new(NAME, true, "`.tools` in each app's folder (FROND_TOOLS names one for all)", "");
    };
    match usable(&path) {
        Ok(()) => Check::new(NAME, true, path.display().to_string(), ""),
        Err(error) => {
            let found = format!("`{}`: {error}:", path.display());
            Check::new(NAME, false, found, "let FROND_TOOLS name a folder that you can write to")
        }
    }
}

/// Checks that a file can be created in the folder, or in its nearest existing ancestor:
/// permissions alone do not tell.
fn usable(folder: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    let there = absolute.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let probe = there.join(format!(".frond-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

impl Tool {
    fn check(&self, tools: Option<&Path>) -> Check {
        let version = self.version();
        let at = tools.map(|tools| tools.join(self.folder).join(format!("{}-{version}", self.name)));
        let found = if at.is_some_and(|at| at.join(self.witness).exists()) {
            format!("{version}, there")
        } else {
            format!("{version}, fetched by the first build")
        };
        Check::new(self.name, true, found, "")
    }

    /// Returns the version that the build script sets.
    fn version(&self) -> &'static str {
        let assigned = |line: &'static str| line.strip_prefix(self.variable)?.strip_prefix('=');
        self.script.lines().find_map(assigned).unwrap_or("?")
    }
}

/// Checks for a C compiler, which is optional: without it, builds are not reproducible.
fn compiler() -> Check {
    let named = std::env::var_os("CC").and_then(|name| name.into_string().ok());
    let name = named.unwrap_or_else(|| "cc".to_owned());
    let found = match find(&name) {
        Some(_) => format!("{name}: builds are reproducible"),
        None => {
            let remedy = packages("gcc libc6-dev", "install one");
            format!("none: builds are not reproducible ({remedy})")
        }
    };
    Check::new("C compiler", true, found, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop where they are")]

    use super::*;

    #[test]
    fn versions_are_those_of_the_build_scripts() {
        for tool in [PYTHON, JAVASCRIPT, C] {
            assert!(tool.version().starts_with(|c: char| c.is_ascii_digit()), "{}: {}", tool.name, tool.version());
            assert!(tool.script.contains(tool.witness), "{}", tool.witness);
            assert!(tool.script.contains(&format!("\"{}-${}\"", tool.name, tool.variable)), "{}", tool.name);
        }
    }

    #[test]
    fn a_folder_is_usable_where_files_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        usable(folder.path()).unwrap();
        usable(&folder.path().join("not/yet")).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(usable(&file).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(usable(&file.join("below")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! Requirements of each language for building a plugin. The build scripts have the same ones.

use std::env;
use std::path::{Path, PathBuf};

use super::check::Check;
use super::folder;
use super::tools::{find, output, packages, version};
use crate::args::Language;

const RUSTUP: &str = "install Rust through rustup: https://rustup.rs";
const SDK: &str = "unpack a WASI SDK and set WASI_SDK_PATH";

/// Returns the checks of one language.
pub(crate) fn of(lang: Language) -> Vec<Check> {
    let mut checks = match lang {
        Language::Rust => vec![cargo(), wasm_target()],
        Language::Python => vec![python(), venv()],
        Language::Javascript => vec![node(), npm()],
        Language::C => c(),
    };
    checks.extend(folder::checks(lang));
    checks
}

/// Checks a program's version, as printed, against the minimum `least`.
fn program(name: &'static str, printed: Option<String>, least: (u32, u32), remedy: String) -> Check {
    let printed = printed.unwrap_or_default();
    match version(&printed) {
        Some((found, number)) => Check::new(name, number >= least, found, remedy),
        None => Check::new(name, false, "", remedy),
    }
}

fn cargo() -> Check {
    program("cargo", output("cargo", &["--version"]), (1, 85), RUSTUP.to_owned())
}

fn wasm_target() -> Check {
    let folder = output("rustc", &["--print", "target-libdir", "--target", "wasm32-wasip2"]).map(PathBuf::from);
    let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
    let entries = folder.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let there = entries.map(|entry| entry.file_name()).any(|name| name.to_str().is_some_and(is_core));
    let found = if there { "installed" } else { "" };
    Check::new("wasm32-wasip2", there, found, "rustup target add wasm32-wasip2")
}

fn python() -> Check {
    let remedy = packages("python3 python3-venv", "get Python 3.10 or later from https://www.python.org");
    program("python3", output("python3", &["--version"]), (3, 10), remedy)
}

fn venv() -> Check {
    let there = output("python3", &["-c", "import ensurepip, venv"]).is_some();
    let remedy = packages("python3-venv", "install Python with its modules venv and ensurepip");
    Check::new("venv", there, if there { "installed" } else { "" }, remedy)
}

fn node() -> Check {
    let remedy = packages("nodejs npm", "get Node.js 18 or later from https://nodejs.org");
    program("node", output("node", &["--version"]), (18, 0), remedy)
}

fn npm() -> Check {
    let remedy = packages("nodejs npm", "npm comes with Node.js: https://nodejs.org");
    program("npm", output("npm", &["--version"]), (7, 0), remedy)
}

fn c() -> Vec<Check> {
    if let Some(sdk) = env::var_os("WASI_SDK_PATH").filter(|path| !path.is_empty()) {
        let clang = Path::new(&sdk).join("bin/clang");
        let found = if clang.is_file() { clang.display().to_string() } else { String::new() };
        return vec![cargo(), Check::new("WASI SDK", clang.is_file(), found, "WASI_SDK_PATH names no WASI SDK")];
    }
    let clang = clang();
    let remedy = packages("clang-19 libclang-rt-19-dev-wasm32", SDK);
    let printed = clang.as_deref().and_then(|clang| output(clang, &["--version"]));
    let library = clang.as_deref().and_then(|clang| output(clang, &["-print-resource-dir"]));
    let library = library.map(|dir| Path::new(&dir).join("lib/wasi/libclang_rt.builtins-wasm32.a"));
    let library = library.filter(|file| file.is_file());
    vec![
        cargo(),
        linker(),
        program("clang", printed, (19, 0), remedy.clone()),
        Check::new("clang for wasm32", library.is_some(), library.map_or("", |_| "installed"), remedy),
        wasi_libc(),
    ]
}

/// Returns the newest clang with a version in its name, else the plain one: the order of the build
/// script.
fn clang() -> Option<String> {
    let numbered = (19..=22).rev().map(|version| format!("clang-{version}"));
    numbered.chain(["clang".to_owned()]).find(|name| find(name).is_some())
}

fn linker() -> Check {
    let host = output("rustc", &["-vV"]).and_then(|text| Some(text.split_once("host: ")?.1.lines().next()?.to_owned()));
    let root = output("rustc", &["--print", "sysroot"]);
    let file = host
        .zip(root)
        .map(|(host, root)| PathBuf::from(root).join("lib/rustlib").join(host).join("bin/wasm-component-ld"));
    let there = file.is_some_and(|file| file.is_file()) || find("wasm-component-ld").is_some();
    Check::new("wasm-component-ld", there, if there { "Rust's" } else { "" }, RUSTUP)
}

fn wasi_libc() -> Check {
    if Path::new("/usr/lib/wasm32-wasip2/libc.a").is_file() {
        return Check::new("wasi-libc", true, "installed", "");
    }
    let there = find("apt-get").is_some() && find("dpkg-deb").is_some();
    let found = if there { "fetched from Debian by the first build" } else { "" };
    Check::new("wasi-libc", there, found, SDK)
}

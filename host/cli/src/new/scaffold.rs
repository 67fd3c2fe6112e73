//! Files of a new folder. Most are templates, under `templates`. Files that Frond itself uses too,
//! such as the contract and the build scripts, are included from their place of use.

use std::path::PathBuf;

use crate::args::{Kind, Language};

use super::sdk;

/// A generated file, with its path relative to the new folder.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Pairs of a path and a text.
type Templates = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("templates/", $path))
    };
}

macro_rules! plugin {
    ($path:literal) => {
        include_str!(concat!("../../../../plugins/", $path))
    };
}

const SHARED: Templates = &[(".gitignore", template!("shared/gitignore"))];
const CONTRACT: Templates = &[("wit/world.wit", include_str!("../../../../wit/world.wit"))];

const APP: Templates = &[
    ("frond.toml", template!("shared/app.toml")),
    ("data/fronds.txt", template!("shared/data/fronds.txt")),
    ("data/leaves.txt", template!("shared/data/leaves.txt")),
    ("cases/app-answers.toml", template!("shared/cases/app-answers.toml")),
];
const LEAF: Templates = &[("frond.toml", template!("shared/leaf.toml"))];
const MERGE: Templates = &[("frond.toml", template!("shared/merge.toml"))];

const LEAF_CASES: Templates = &[
    ("cases/leaf-counts.toml", template!("shared/cases/leaf-counts.toml")),
    ("cases/leaf-finds-nothing.toml", template!("shared/cases/leaf-finds-nothing.toml")),
    ("cases/leaf-refuses.toml", template!("shared/cases/leaf-refuses.toml")),
];
const MERGE_CASES: Templates = &[
    ("cases/merge-adds.toml", template!("shared/cases/merge-adds.toml")),
    ("cases/merge-refuses.toml", template!("shared/cases/merge-refuses.toml")),
    ("cases/finish-without-partials.toml", template!("shared/cases/finish-without-partials.toml")),
];

/// Sources of a language: for every kind, for the leaf, for the merge, and for both together.
struct Sources {
    always: Templates,
    leaf: Templates,
    merge: Templates,
    both: Templates,
}

const RUST: Sources = Sources {
    always: &[
        ("Cargo.toml", template!("rust/Cargo.toml.txt")),
        (".cargo/config.toml", template!("rust/config.toml")),
        ("src/lib.rs", template!("rust/lib.rs")),
        ("frond-plugin/Cargo.toml", template!("rust/frond-plugin.toml.txt")),
    ],
    leaf: &[("src/leaf.rs", template!("rust/leaf.rs"))],
    merge: &[("src/merge.rs", template!("rust/merge.rs"))],
    both: &[],
};

const PYTHON: Sources = Sources {
    always: &[
        ("build.sh", plugin!("rail-python/build.sh")),
        ("build/tools.sh", plugin!("build/tools.sh")),
        ("build/steady.c", plugin!("build/steady.c")),
    ],
    leaf: &[("leaf.py", template!("python/leaf.py")), ("pieces.py", plugin!("rail-python/pieces.py"))],
    merge: &[("merge.py", template!("python/merge.py"))],
    both: &[("app.py", template!("python/app.py"))],
};

const JAVASCRIPT: Sources = Sources {
    always: &[
        ("build.sh", plugin!("rail-javascript/build.sh")),
        ("build/tools.sh", plugin!("build/tools.sh")),
        ("build/steady.c", plugin!("build/steady.c")),
        ("failure.js", plugin!("rail-javascript/failure.js")),
        ("random.js", plugin!("rail-javascript/random.js")),
        ("text.js", plugin!("rail-javascript/text.js")),
    ],
    leaf: &[("leaf.js", template!("javascript/leaf.js")), ("pieces.js", plugin!("rail-javascript/pieces.js"))],
    merge: &[("merge.js", template!("javascript/merge.js"))],
    both: &[("app.js", template!("javascript/app.js"))],
};

const C: Sources = Sources {
    always: &[
        ("build.sh", plugin!("rail-c/build.sh")),
        ("build/tools.sh", plugin!("build/tools.sh")),
        ("json.c", plugin!("rail-c/json.c")),
        ("json.h", plugin!("rail-c/json.h")),
    ],
    leaf: &[
        ("leaf.c", template!("c/leaf.c")),
        ("pieces.c", plugin!("rail-c/pieces.c")),
        ("pieces.h", plugin!("rail-c/pieces.h")),
    ],
    merge: &[("merge.c", template!("c/merge.c"))],
    both: &[],
};

/// Returns all files of the new folder.
pub(crate) fn files(name: &str, lang: Language, kind: Kind) -> Vec<File> {
    let sources = match lang {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::Javascript => JAVASCRIPT,
        Language::C => C,
    };
    let leaf = kind != Kind::Merge;
    let merge = kind != Kind::Leaf;
    let package = match kind {
        Kind::App => APP,
        Kind::Leaf => LEAF,
        Kind::Merge => MERGE,
    };
    let mut templates: Vec<_> = [SHARED, CONTRACT, package, sources.always].concat();
    let parts = [
        (leaf, LEAF_CASES),
        (merge, MERGE_CASES),
        (leaf, sources.leaf),
        (merge, sources.merge),
        (leaf && merge, sources.both),
    ];
    templates.extend(parts.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, part)| part));
    templates.push(("README.md", template!("shared/README.md")));
    let templates = templates.into_iter().map(|(path, text)| (path.to_owned(), filled(text, name, lang, kind)));
    let sdk = (lang == Language::Rust).then(sdk::files).into_iter().flatten();
    templates.chain(sdk).map(|(path, text)| File { path: path.into(), text }).collect()
}

fn filled(text: &str, name: &str, lang: Language, kind: Kind) -> String {
    let modules = match kind {
        Kind::App => "mod leaf;\nmod merge;",
        Kind::Leaf => "mod leaf;",
        Kind::Merge => "mod merge;",
    };
    let what = match kind {
        Kind::App => "A leaf counts the long lines of one partition, and a merge adds the counts.",
        Kind::Leaf => "This is the leaf, which counts the long lines of one partition.",
        Kind::Merge => "This is the merge, which adds the counts.",
    };
    let query = if kind == Kind::App { "    frond query . '{\"longer-than\": 20}'\n" } else { "" };
    text.replace("{{name}}", name)
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{component}}", component(lang))
        .replace("{{build}}", build(lang, kind))
        .replace("{{piece}}", piece(lang))
        .replace("{{limits}}", limits(lang))
        .replace("{{modules}}", modules)
        .replace("{{what}}", what)
        .replace("{{query}}", query)
        .replace("{{files}}", about(lang))
        .replace("{{needs}}", &format!("The build needs {}.", needs(lang)))
}

fn component(lang: Language) -> &'static str {
    match lang {
        Language::Rust => "target/wasm32-wasip2/release/plugin.wasm",
        Language::Python | Language::Javascript | Language::C => "plugin.wasm",
    }
}

fn build(lang: Language, kind: Kind) -> &'static str {
    match (lang, kind) {
        (Language::Rust, _) => "cargo build --release --target wasm32-wasip2 --target-dir target",
        (Language::Python, Kind::App) => "sh build.sh plugin plugin.wasm app.py",
        (Language::Python, Kind::Leaf) => "sh build.sh leaf plugin.wasm leaf.py",
        (Language::Python, Kind::Merge) => "sh build.sh merger plugin.wasm merge.py",
        (Language::Javascript, Kind::App) => "sh build.sh plugin plugin.wasm app.js",
        (Language::Javascript, Kind::Leaf) => "sh build.sh leaf plugin.wasm leaf.js",
        (Language::Javascript, Kind::Merge) => "sh build.sh merger plugin.wasm merge.js",
        (Language::C, Kind::App) => "sh build.sh plugin plugin.wasm leaf.c merge.c pieces.c json.c",
        (Language::C, Kind::Leaf) => "sh build.sh leaf plugin.wasm leaf.c pieces.c json.c",
        (Language::C, Kind::Merge) => "sh build.sh merger plugin.wasm merge.c json.c",
    }
}

/// Returns a line of `[source]` that keeps pieces small for interpreters, which need more fuel and
/// memory for each byte.
fn piece(lang: Language) -> &'static str {
    match lang {
        Language::Rust | Language::C => "",
        Language::Python | Language::Javascript => "piece-size = \"1MiB\" # not more: see [limits.leaf]\n",
    }
}

/// Returns limits above the defaults for interpreters, far from what counting the lines of a piece
/// takes.
fn limits(lang: Language) -> &'static str {
    match lang {
        Language::Rust | Language::C => "",
        Language::Python | Language::Javascript => {
            "\n# An interpreter uses some hundred times the fuel of compiled code: this is 9,500 for each byte of 1 MiB.\n\
             [limits.leaf]\nfuel = 10_000_000_000\n"
        }
    }
}

/// Returns the requirements of a language's plugins.
pub(crate) fn needs(lang: Language) -> &'static str {
    match lang {
        Language::Rust => "a Rust toolchain with the target wasm32-wasip2 (`rustup target add wasm32-wasip2`)",
        Language::Python => "Python 3.10 or later with venv (Debian: python3, python3-venv)",
        Language::Javascript => "Node.js 18 or later with npm (Debian: nodejs, npm)",
        Language::C => {
            "a Rust toolchain, whose linker is used, and clang 19 or later with its library for wasm32\n\
             (Debian: clang-19, libclang-rt-19-dev-wasm32), or a WASI SDK that WASI_SDK_PATH names"
        }
    }
}

fn about(lang: Language) -> &'static str {
    match lang {
        Language::Rust => {
            "`frond-plugin/` is Frond's crate for plugins, `wit/world.wit` the contract. `cargo test` runs the functions natively."
        }
        Language::Python => {
            "`wit/world.wit` is the contract; `build.sh` makes the component with componentize-py, which it fetches\n\
             into `.tools`, or into the folder that FROND_TOOLS names, which several plugins may share."
        }
        Language::Javascript => {
            "`wit/world.wit` is the contract; `build.sh` makes the component with componentize-qjs, which it fetches\n\
             into `.tools`, or into the folder that FROND_TOOLS names, which several plugins may share.\n\
             The engine is QuickJS: `text.js` stands in for TextDecoder and TextEncoder, `random.js` for the engine's own\n\
             `Math.random`, and there is no console."
        }
        Language::C => {
            "`wit/world.wit` is the contract; `build.sh` makes the component, with bindings (`plugin.h`) that it generates. It\n\
             fetches its tools into `.tools`, or into the folder that FROND_TOOLS names, which several plugins may share."
        }
    }
}

//! Rules for dependencies: each third-party technology has its fence, and few of the project's
//! crates may depend on each other.

use std::path::Path;

use toml::{Table, Value};

use super::{Complaint, Text, texts};

/// Technologies by the beginning of their crates' names, with the folders of `host` that may depend
/// on them.
const FENCES: [(&str, &[&str]); 29] = [
    ("wasmtime", &["sandbox"]),
    ("wasmparser", &["sandbox"]),
    ("wasm-encoder", &["sandbox"]),
    ("wit-component", &["sandbox"]),
    ("wit-parser", &["sandbox"]),
    ("cranelift", &["sandbox"]),
    // Tests of the command line write bad components with it.
    ("wat", &["sandbox", "cli"]),
    ("wit-bindgen", &[]),
    ("wasip", &[]),
    ("axum", &["server"]),
    // The sandbox sends guests' requests with it: other clients would not connect to exactly the
    // checked address.
    ("hyper", &["server", "sandbox"]),
    ("tokio-rustls", &["tls", "sandbox", "server", "jobs"]),
    // Trust in certificates is decided in one place; databases follow libpq's own rules.
    ("webpki-roots", &["tls"]),
    ("rustls-native-certs", &["tls", "jobs"]),
    ("tower", &["server"]),
    ("sqlx", &["jobs"]),
    ("rusqlite", &["jobs"]),
    ("libsqlite3", &["jobs"]),
    ("postgres", &["jobs"]),
    ("tokio-postgres", &["jobs"]),
    ("async-nats", &["broker"]),
    ("nats", &["broker"]),
    // The server sends traces with it, and its tests send requests.
    ("reqwest", &["server", "cli"]),
    ("ureq", &[]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("landlock", &["wall"]),
    ("seccompiler", &["wall"]),
];

/// Member without fences: it measures against other projects' technology and is not released.
const UNFENCED: &str = "bench";

/// Crates of `host` by folder, with the crates that each may depend on outside its tests.
const KNOWN: [(&str, &[&str]); 19] = [
    ("root", &[]),
    ("files", &[]),
    ("tls", &["frond-files"]),
    ("sandbox", &["frond-root", "frond-files", "frond-tls"]),
    ("app", &["frond-root", "frond-files"]),
    ("run", &["frond-root", "frond-files", "frond-tls", "frond-sandbox", "frond-app", "frond-broker", "frond-wall"]),
    ("test", &["frond-root", "frond-files", "frond-sandbox", "frond-app", "frond-run"]),
    ("deploy", &["frond-root", "frond-files", "frond-app", "frond-run", "frond-test", "frond-jobs"]),
    ("page", &[]),
    ("plan", &[]),
    ("jobs", &["frond-root", "frond-files", "frond-tls"]),
    ("broker", &["frond-root", "frond-files", "frond-tls"]),
    ("sim", &["frond-root"]),
    ("wall", &[]),
    (
        "server",
        &[
            "frond-root",
            "frond-files",
            "frond-tls",
            "frond-app",
            "frond-run",
            "frond-deploy",
            "frond-jobs",
            "frond-page",
        ],
    ),
    (
        "cli",
        &[
            "frond-root",
            "frond-files",
            "frond-tls",
            "frond-sandbox",
            "frond-app",
            "frond-run",
            "frond-test",
            "frond-jobs",
            "frond-broker",
            "frond-wall",
            "frond-sim",
            "frond-page",
            "frond-plan",
            "frond-deploy",
            "frond-server",
        ],
    ),
    ("testkit", &["frond-root"]),
    ("fuzz", &["frond-app", "frond-sandbox", "frond-server"]),
    (
        "bench",
        &[
            "frond-root",
            "frond-sandbox",
            "frond-app",
            "frond-run",
            "frond-plugin",
            "frond-pi",
            "frond-wordcount",
            "frond-testkit",
        ],
    ),
];

/// One entry of a manifest's dependencies.
struct Dependency {
    name: String,
    line: usize,
    for_tests: bool,
}

/// Dependencies outside their fences, tests included: a test that needs a technology belongs to the
/// crate inside its fence.
#[must_use]
pub fn fences(root: &Path) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for manifest in manifests(root) {
        let Some(("host", member)) = manifest.member().filter(|(_, member)| *member != UNFENCED) else {
            continue;
        };
        for dependency in dependencies(&manifest) {
            let fence = FENCES.iter().find(|(technology, _)| is_of(&dependency.name, technology));
            let Some((technology, allowed)) = fence.filter(|(_, allowed)| !allowed.contains(&member)) else {
                continue;
            };
            let home = match allowed.first() {
                Some(home) => format!("it belongs behind a seam of host/{home}"),
                None => "it is for guests, in plugins".to_owned(),
            };
            complaints.push(manifest.complain(
                dependency.line,
                format!("`{}` is outside the fence of {technology}", dependency.name),
                home,
            ));
        }
    }
    complaints
}

/// Dependencies of the project's crates on crates that they must not know.
#[must_use]
pub fn acquaintances(root: &Path) -> Vec<Complaint> {
    manifests(root).flat_map(|manifest| strangers(&manifest)).collect()
}

fn strangers(manifest: &Text) -> Vec<Complaint> {
    let Some((parent, member)) = manifest.member() else {
        return Vec::new();
    };
    let known = KNOWN.iter().find(|(name, _)| *name == member).map(|(_, known)| *known);
    if parent == "host" && known.is_none() {
        let rule = format!("the crate in host/{member} has no place among the others");
        return vec![manifest.complain(1, rule, "say in host/testkit/src/tidy/manifests.rs whom it may know")];
    }
    let is_host = |name: &str| KNOWN.iter().any(|(folder, _)| name == format!("frond-{folder}"));
    let allowed = |name: &str| match parent {
        "host" => known.is_some_and(|known| known.contains(&name)),
        _ => !is_host(name),
    };
    dependencies(manifest)
        .into_iter()
        .filter(|one| !one.for_tests && one.name.starts_with("frond-") && !allowed(&one.name))
        .map(|one| {
            let rule = format!("{parent}/{member} must not know `{}`", one.name);
            manifest.complain(one.line, rule, "pass a value or a trait of frond-root instead; only host/cli wires")
        })
        .collect()
}

/// Members that `make test` builds without debug assertions.
#[must_use]
pub fn unchecked(root: &Path) -> Vec<Complaint> {
    let checked: Table = texts(root)
        .find(|text| text.path == Path::new(".cargo/test.toml"))
        .map_or_else(Table::new, |text| text.text.parse().expect("settings of cargo are TOML"));
    let checked = checked.get("profile").and_then(|profile| profile.get("release")?.get("package"));
    let is_checked = |name: &str| checked.is_some_and(|packages| packages.get(name).is_some());
    manifests(root)
        .filter(|manifest| manifest.member().is_some_and(|(_, member)| !["fuzz", UNFENCED].contains(&member)))
        .filter_map(|manifest| {
            let table: Table = manifest.text.parse().expect("a manifest is TOML");
            let name = table.get("package")?.get("name")?.as_str()?.to_owned();
            let rule = || format!("`make test` builds `{name}` without its assertions");
            let remedy = "give it a section in .cargo/test.toml";
            (!is_checked(&name)).then(|| manifest.complain(1, rule(), remedy))
        })
        .collect()
}

/// Matches whole words of a name: `wasmtime` includes `wasmtime-wasi`, but `wat` does not include
/// `watch`.
fn is_of(name: &str, technology: &str) -> bool {
    let rest = name.strip_prefix(technology);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(['-', '_']) || rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn manifests(root: &Path) -> impl Iterator<Item = Text> {
    texts(root).filter(|text| text.path.ends_with("Cargo.toml") && text.path.components().count() == 3)
}

fn dependencies(manifest: &Text) -> Vec<Dependency> {
    let table: Table = manifest.text.parse().expect("a manifest is TOML");
    let mut found = Vec::new();
    collect(&table, manifest, &mut found);
    let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
    for (_, target) in targets {
        if let Some(target) = target.as_table() {
            collect(target, manifest, &mut found);
        }
    }
    found
}

fn collect(table: &Table, manifest: &Text, found: &mut Vec<Dependency>) {
    for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
        let Some(dependencies) = table.get(kind).and_then(Value::as_table) else {
            continue;
        };
        for (name, value) in dependencies {
            let package = value.get("package").and_then(Value::as_str);
            found.push(Dependency {
                name: package.unwrap_or(name).to_owned(),
                line: line_of(&manifest.text, name, kind),
                for_tests: kind == "dev-dependencies",
            });
        }
    }
}

/// Line of the entry `name` within the section `kind`.
fn line_of(text: &str, name: &str, kind: &str) -> usize {
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with(kind) && (kind != "dependencies" || !section.ends_with("-dependencies"));
            if section.ends_with(&format!("{kind}.{name}")) {
                return number + 1;
            }
        } else if inside && line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['.', '='])) {
            return number + 1;
        }
    }
    1
}

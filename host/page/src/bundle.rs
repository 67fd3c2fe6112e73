//! Bundler: joins JavaScript modules into one script. Each module becomes a function, and the later
//! ones take its exports by name. Private names of different modules cannot clash.
//!
//! The modules keep to a few forms: `import { a, b } from "./x.js";` on lines that begin with
//! `import`, and `export` before a function, an async function or generator, a class or a constant.
//! A test checks that.

use std::fmt::Write as _;

use crate::assets::{FILES, JS};

/// Bundles `entry` and the modules that it needs, in the order of [`FILES`]; `entry` comes last.
pub(crate) fn bundle(entry: &str) -> String {
    let needed = needed(entry);
    let mut script = String::from("\"use strict\";\n");
    for (name, _, text) in FILES.into_iter().filter(|(name, kind, _)| *kind == JS && needed.contains(name)) {
        script.push_str(&wrapped(name, text));
    }
    script
}

/// Names of `entry` and of all modules that it imports, directly or not.
fn needed(entry: &str) -> Vec<&'static str> {
    let mut needed: Vec<&'static str> = Vec::new();
    let mut open: Vec<String> = vec![entry.to_owned()];
    while let Some(name) = open.pop() {
        let Some((known, _, text)) = FILES.into_iter().find(|(known, ..)| *known == name) else {
            continue;
        };
        if !needed.contains(&known) {
            needed.push(known);
            open.extend(text.lines().filter_map(imported).map(|(_, from)| format!("js/{from}")));
        }
    }
    needed
}

/// Names that a line imports, and the file that they come from.
pub(crate) fn imported(line: &str) -> Option<(&str, &str)> {
    let (names, from) = line.strip_prefix("import { ")?.split_once(" } from \"./")?;
    Some((names, from.strip_suffix("\";")?))
}

/// Name that a line exports.
pub(crate) fn exported(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("export ")?;
    let rest = ["async function* ", "async function ", "function* ", "function ", "class ", "const "]
        .iter()
        .find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().filter(|name| !name.is_empty())
}

fn wrapped(name: &str, text: &str) -> String {
    let mut script = format!("const {} = (() => {{\n", variable(name));
    for line in text.lines() {
        match imported(line) {
            Some((names, from)) => {
                let _ = writeln!(script, "const {{ {names} }} = {};", variable(&format!("js/{from}")));
            }
            None => {
                script.push_str(line.strip_prefix("export ").unwrap_or(line));
                script.push('\n');
            }
        }
    }
    let exports: Vec<_> = text.lines().filter_map(exported).collect();
    let _ = writeln!(script, "return {{ {} }};\n}})();", exports.join(", "));
    script
}

fn variable(name: &str) -> String {
    let stem = name.strip_prefix("js/").unwrap_or(name);
    format!("module_{}", stem.strip_suffix(".js").unwrap_or(stem))
}

#[cfg(test)]
mod tests;

//! Frond's crate for plugins in Rust, which is on no registry: its sources are in the binary, and written beside what
//! uses them.

use super::scaffold::File;

macro_rules! source {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../plugins/sdk/src/", $name)))
    };
}

pub(super) const SOURCES: [(&str, &str); 9] = [
    source!("bindings.rs"),
    source!("call.rs"),
    source!("codec.rs"),
    source!("control.rs"),
    source!("failure.rs"),
    source!("lib.rs"),
    source!("macros.rs"),
    source!("partition.rs"),
    source!("source.rs"),
];

/// What only makes sense in Frond's own repository: tests, which stand in files of their own, and its README.
const OWN: [&str; 2] = [
    "#[cfg(test)]\nmod tests;\n",
    "/// The README's plugin must compile.\n#[cfg(doctest)]\n#[doc = include_str!(\"../../../README.md\")]\nstruct Readme;\n",
];

pub(super) fn files() -> impl Iterator<Item = File> {
    SOURCES.iter().map(|(name, text)| {
        let text = OWN.iter().fold((*text).to_owned(), |text, own| text.replace(own, ""));
        // Where the contract is, seen from the crate.
        let text = text.replace("\"../../wit\"", "\"../wit\"");
        File { path: format!("frond-plugin/src/{name}").into(), text }
    })
}

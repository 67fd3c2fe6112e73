//! The SDK: Frond's crate for plugins in Rust. It is on no registry, so its sources are in the
//! binary and are written beside the plugin.

macro_rules! source {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../../plugins/sdk/", $path)))
    };
}

pub(super) const SOURCES: [(&str, &str); 17] = [
    source!("src/bindings.rs"),
    source!("src/call.rs"),
    source!("src/codec.rs"),
    source!("src/config.rs"),
    source!("src/control.rs"),
    source!("src/failure.rs"),
    source!("src/http.rs"),
    source!("src/http/send.rs"),
    source!("src/lib.rs"),
    source!("src/macros.rs"),
    source!("src/partition.rs"),
    source!("src/pieces.rs"),
    source!("src/pieces/readers.rs"),
    source!("src/pieces/taken.rs"),
    source!("src/source.rs"),
    source!("src/testing.rs"),
    source!("wit/outside.wit"),
];

/// Parts of the sources that only compile in Frond's own repository: test modules and the test of
/// the README.
const OWN: [&str; 2] = [
    "#[cfg(test)]\nmod tests;\n",
    "/// The README's plugin must compile.\n#[cfg(doctest)]\n#[doc = include_str!(\"../../../README.md\")]\nstruct Readme;\n",
];

/// Returns the files of the crate, each with its path relative to the new folder.
pub(super) fn files() -> impl Iterator<Item = (String, String)> {
    SOURCES.iter().map(|(path, text)| {
        let text = OWN.iter().fold((*text).to_owned(), |text, own| text.replace(own, ""));
        // Relative path of the contract, seen from the crate.
        let text = text.replace("\"../../wit\"", "\"../wit\"");
        (format!("frond-plugin/{path}"), text)
    })
}

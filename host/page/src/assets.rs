//! The files by the paths that requests have.

use std::sync::LazyLock;

/// One file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its media type, with the charset.
    pub content_type: &'static str,
    /// What it holds.
    pub bytes: &'static [u8],
    /// A validator in quotes, as the header `ETag` has it: it changes with the bytes.
    pub etag: &'static str,
}

/// Where the files other than `index.html` are.
const FOLDER: &str = "page/";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
pub(crate) const JS: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($(($name:literal, $kind:expr)),* $(,)?) => {
        [$(($name, $kind, include_str!(concat!("../files/", $name)))),*]
    };
}

/// Name, media type and text of each file. Modules stand after those that they import.
pub(crate) const FILES: [(&str, &str, &str); 35] = files![
    ("index.html", HTML),
    ("icon.svg", SVG),
    ("base.css", CSS),
    ("views.css", CSS),
    ("waterfall.css", CSS),
    ("explain.html", HTML),
    ("js/format.js", JS),
    ("js/dom.js", JS),
    ("js/model.js", JS),
    ("js/figures.js", JS),
    ("js/path.js", JS),
    ("js/lints.js", JS),
    ("js/axis.js", JS),
    ("js/lane.js", JS),
    ("js/waterfall.js", JS),
    ("js/verdict.js", JS),
    ("js/parts.js", JS),
    ("js/head.js", JS),
    ("js/run.js", JS),
    ("js/theme.js", JS),
    ("js/explain.js", JS),
    ("js/router.js", JS),
    ("js/login.js", JS),
    ("js/api.js", JS),
    ("js/feed.js", JS),
    ("js/commands.js", JS),
    ("js/answer.js", JS),
    ("js/apps.js", JS),
    ("js/console.js", JS),
    ("js/query.js", JS),
    ("js/queries.js", JS),
    ("js/stints.js", JS),
    ("js/job.js", JS),
    ("js/jobs.js", JS),
    ("js/main.js", JS),
];

static ASSETS: LazyLock<Vec<(&'static str, Asset, String)>> = LazyLock::new(|| {
    let file = |(name, content_type, text): (&'static str, &'static str, &'static str)| {
        let bytes = text.as_bytes();
        (name, Asset { content_type, bytes, etag: "" }, format!("\"{:016x}\"", fnv(bytes)))
    };
    FILES.into_iter().map(file).collect()
});

/// The file for the path of a request: `/` is the page itself, all else is below `/page/`. `None` for any other path.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let name = if path.is_empty() { "index.html" } else { path.strip_prefix(FOLDER)? };
    let (_, asset, etag) = ASSETS.iter().find(|(known, ..)| *known == name)?;
    Some(Asset { etag, ..*asset })
}

/// FNV-1a with 64 bits (draft-eastlake-fnv): the files are ours, so that nobody has to be kept from finding a collision.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;

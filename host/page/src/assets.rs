//! Files of the web page, by request path.

use std::sync::LazyLock;

/// One file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Media type with its charset.
    pub content_type: &'static str,
    /// Bytes of the file.
    pub bytes: &'static [u8],
    /// Value of the header `ETag`, in quotes: a hash of the bytes.
    pub etag: &'static str,
}

/// Path of all files other than `index.html`.
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

/// Name, media type and text of each file. Modules come after the modules that they import.
pub(crate) const FILES: [(&str, &str, &str); 37] = files![
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
    ("js/poll.js", JS),
    ("js/commands.js", JS),
    ("js/answer.js", JS),
    ("js/apps.js", JS),
    ("js/console.js", JS),
    ("js/query.js", JS),
    ("js/queries.js", JS),
    ("js/segments.js", JS),
    ("js/job.js", JS),
    ("js/jobs.js", JS),
    ("js/workers.js", JS),
    ("js/main.js", JS),
];

static ASSETS: LazyLock<Vec<(&'static str, Asset, String)>> = LazyLock::new(|| {
    let file = |(name, content_type, text): (&'static str, &'static str, &'static str)| {
        let bytes = text.as_bytes();
        (name, Asset { content_type, bytes, etag: "" }, format!("\"{:016x}\"", fnv(bytes)))
    };
    FILES.into_iter().map(file).collect()
});

/// Returns the file for a request path: `/` is the page itself, all other files are below `/page/`.
/// `None` for any other path.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let name = if path.is_empty() { "index.html" } else { path.strip_prefix(FOLDER)? };
    let (_, asset, etag) = ASSETS.iter().find(|(known, ..)| *known == name)?;
    Some(Asset { etag, ..*asset })
}

/// FNV-1a with 64 bits (draft-eastlake-fnv). The files are part of the binary, so collisions need
/// no protection.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;

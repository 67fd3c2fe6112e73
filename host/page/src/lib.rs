//! The page, as files that are part of the binary: plain HTML, CSS and modules of JavaScript, with nothing fetched from
//! elsewhere. `files/index.html` and `files/js/main.js` are where to begin.
//!
//! Invariants: no outside technology; no script or style inside `index.html`, so that it works under
//! `Content-Security-Policy: default-src 'self'`; text from guests only ever becomes text, nothing parses it as HTML.

mod assets;
mod bundle;
mod standalone;

pub use assets::{Asset, asset};
pub use standalone::{MAX_RECORDING, Standalone, TooLarge};

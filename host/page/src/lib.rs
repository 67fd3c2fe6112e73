//! Web page as files inside the binary: plain HTML, CSS and JavaScript modules, with nothing
//! fetched from elsewhere. Start reading at `files/index.html` and `files/js/main.js`.
//!
//! Invariants: no third-party code; no script or style inside `index.html`, so that it works under
//! `Content-Security-Policy: default-src 'self'`; text from guests stays text and is never parsed
//! as HTML.

mod assets;
mod bundle;
mod standalone;

pub use assets::{Asset, asset};
pub use standalone::{MAX_RECORDING, Standalone, TooLarge};

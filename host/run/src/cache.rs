//! Cache of compiled components, and sandboxes that use it.

use std::path::PathBuf;

use frond_app::size::{parse_size, show_size};
use frond_sandbox::{CACHE_SIZE, Clock, Sandbox, Settings};

/// Makes a sandbox whose cache is bounded by `FROND_CACHE_SIZE`.
///
/// # Errors
/// The error of [`Clock::start`].
pub fn sandbox(settings: Settings) -> std::io::Result<Sandbox> {
    let clock = Clock::start()?;
    Ok(bounded(settings, &clock))
}

/// Makes a sandbox with this clock, whose cache is bounded by `FROND_CACHE_SIZE`. Warns if there is
/// no cache folder.
pub(crate) fn bounded(settings: Settings, clock: &Clock) -> Sandbox {
    let has_folder = settings.cache.is_some();
    let sandbox = Sandbox::timed(settings, clock);
    if !has_folder {
        sandbox.warn(
            "components are compiled again each time: neither HOME nor XDG_CACHE_HOME is set\n\
             (FROND_CACHE=DIR names a folder that keeps them compiled)"
                .to_owned(),
        );
    }
    match cache_size() {
        Ok(size) => sandbox.bounding_cache(size),
        Err(why) => {
            sandbox.warn(why);
            sandbox
        }
    }
}

/// The largest size of the cache in bytes: `FROND_CACHE_SIZE`, or the default.
///
/// # Errors
/// A message for a variable that is not a size; it names the default, which then applies.
pub fn cache_size() -> Result<u64, String> {
    let text = std::env::var_os("FROND_CACHE_SIZE").unwrap_or_default();
    let text = text.to_string_lossy();
    if text.is_empty() {
        return Ok(CACHE_SIZE);
    }
    parse_size(&text).map_err(|error| {
        format!("FROND_CACHE_SIZE is invalid, and the cache holds {} at most: {error}", show_size(CACHE_SIZE))
    })
}

/// Folder of compiled components: `FROND_CACHE`, or the user's cache folder; `None` without a home.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FROND_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("frond")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/frond")))
}

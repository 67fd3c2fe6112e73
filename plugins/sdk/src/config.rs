//! Configuration values that the app grants its leaf and its split: `[grants.config]` of its
//! `frond.toml`.
//!
//! A component that calls [`get`] imports `wasi:config/store`. Natively (in a test) there are no
//! values.

/// Returns the value of `key`, if the app grants one.
pub fn get(key: &str) -> Option<String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::outside::wasi::config::store::get(key).ok().flatten();
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = key;
        None
    }
}

//! Tokens of callers, of which only hashes are stored.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use frond_app::Size;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Length of a new token in bytes, before it is encoded.
const TOKEN_BYTES: usize = 32;
/// Prefix of every token.
const PREFIX: &str = "frond_";

/// A token, which gives its owner access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// The owner's name, in logs and metrics.
    pub name: String,
    /// The token's permissions.
    pub role: Role,
    /// The SHA-256 of the token: 64 hexadecimal digits. The token itself is not stored.
    pub sha256: String,
    /// The most queries at once.
    #[serde(default = "Token::concurrency")]
    pub concurrency: usize,
    /// Sustained requests a second; bursts of twice as many are allowed.
    #[serde(default = "Token::rate")]
    pub rate: u32,
    /// The most bytes of the token's jobs; by default `jobs.token-quota`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_quota: Option<Size>,
    /// The most stored jobs of the token; by default `jobs.token-jobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u64>,
}

impl Token {
    fn concurrency() -> usize {
        64
    }

    fn rate() -> u32 {
        1000
    }
}

/// Permissions of a token. Queries and jobs belong to the token that created them, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Queries, reads apps, and manages the token's queries and jobs.
    Query,
    /// Reads everything, including other callers' queries and jobs.
    Observer,
    /// Everything, including changes of apps and of other callers' queries and jobs.
    Admin,
}

/// Decodes a SHA-256 from hexadecimal.
pub(crate) fn digest(text: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Creates a token; returns it and its entry for the settings.
/// A token has 256 random bits, so that a plain hash is safe to store.
#[must_use]
pub fn fresh_token(name: &str, role: Role) -> (String, String) {
    let bytes: [u8; TOKEN_BYTES] = rand::random();
    let token = format!("{PREFIX}{}", HEXLOWER.encode(&bytes));
    let sha256 = HEXLOWER.encode(&Sha256::digest(token.as_bytes()));
    let role = match role {
        Role::Query => "query",
        Role::Observer => "observer",
        Role::Admin => "admin",
    };
    let name = toml::Value::from(name);
    (token, format!("[[token]]\nname = {name}\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n"))
}

/// Masks the tokens in a text.
pub(crate) fn without_tokens(text: &str) -> String {
    let mut parts = text.split(PREFIX);
    let mut shown = parts.next().unwrap_or("").to_owned();
    for part in parts {
        shown.push_str(PREFIX);
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        shown.push_str(if rest.len() == part.len() { "" } else { "…" });
        shown.push_str(rest);
    }
    shown
}

#[cfg(test)]
mod tests;

//! Encoding of the values that cross the component boundary.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// Argument types of a plugin's functions: every serde type, as JSON; [`Raw`]; and types with a
/// custom encoding.
pub trait Decode: Sized {
    /// Decodes a value from all of `bytes`. The error says what is wrong and where, for the author
    /// of the bytes.
    fn decode(bytes: Vec<u8>) -> Result<Self, String>;

    /// Decodes a query. An omitted query has no bytes. As JSON it means `{}`, so a query whose
    /// fields all have defaults may be omitted.
    fn decode_query(bytes: Vec<u8>) -> Result<Self, String> {
        Self::decode(bytes)
    }
}

/// Result types of a plugin's functions: every serde type, as JSON; [`Raw`]; and types with a
/// custom encoding.
pub trait Encode {
    /// Encodes the value. The error says why it has no encoding (for JSON: a map whose keys are not
    /// strings).
    fn encode(self) -> Result<Vec<u8>, String>;
}

impl<T: DeserializeOwned> Decode for T {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }

    /// Decodes no bytes as `{}`, or else as `null`: `()` has no fields and is JSON's null.
    fn decode_query(bytes: Vec<u8>) -> Result<Self, String> {
        if !bytes.is_empty() {
            return Self::decode(bytes);
        }
        Self::decode(b"{}".to_vec()).or_else(|error| Self::decode(b"null".to_vec()).map_err(|_| error))
    }
}

impl<T: Serialize> Encode for T {
    fn encode(self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(&self).map_err(|error| error.to_string())
    }
}

/// Bytes that are passed unchanged in either direction: a query in another format, a compact
/// partial, an answer as plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl Decode for Raw {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        Ok(Self(bytes))
    }
}

impl Encode for Raw {
    fn encode(self) -> Result<Vec<u8>, String> {
        Ok(self.0)
    }
}

impl From<String> for Raw {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Raw {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

//! How values become the bytes that cross the boundary, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// What a plugin's functions may take: every serde type, as JSON; [`Raw`]; and types with a form of their own.
pub trait Decode: Sized {
    /// Reads a value from the whole of `bytes`. The error says what is wrong and where, for whoever wrote the bytes.
    fn decode(bytes: Vec<u8>) -> Result<Self, String>;

    /// Reads a query. A query that was left out has no bytes; where queries are JSON that means `{}`, so that one whose
    /// fields all have defaults may be left out.
    fn decode_query(bytes: Vec<u8>) -> Result<Self, String> {
        Self::decode(bytes)
    }
}

/// What a plugin's functions may return: every serde type, as JSON; [`Raw`]; and types with a form of their own.
pub trait Encode {
    /// The value's bytes. The error says why it has none (for JSON: a map whose keys are not strings).
    fn encode(self) -> Result<Vec<u8>, String>;
}

impl<T: DeserializeOwned> Decode for T {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }

    /// `()` has no fields, and is JSON's null.
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

/// Bytes that pass as they are, in either direction: a query of one's own form, a compact partial, an answer that is text.
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

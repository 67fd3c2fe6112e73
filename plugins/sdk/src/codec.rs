//! How values become the bytes that cross the boundary, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// What a plugin's functions may take: every serde type, as JSON; [`Raw`]; and types with a form of their own.
pub trait Decode: Sized {
    /// Reads a value from the whole of `bytes`. The error says what is wrong and where, for whoever wrote the bytes.
    fn decode(bytes: Vec<u8>) -> Result<Self, String>;
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

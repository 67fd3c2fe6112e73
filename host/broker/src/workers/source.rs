//! Leaves that workers run, as a root knows them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::PieceSizes;

/// Code of a leaf for one worker's engine.
#[derive(Clone, Debug)]
pub struct ShippedCode {
    /// Settings of the leaf, in the notation of those who make and load it.
    pub settings: Bytes,
    /// The component.
    pub component: Bytes,
    /// The compiled code, if the root has it for that engine.
    pub compiled: Option<Bytes>,
}

/// Source of a leaf's code.
pub trait LeafCodes: Send + Sync {
    /// The code for a worker with this engine. It may be read from files.
    ///
    /// # Errors
    /// The reason why there is none, for people.
    fn code(&self, engine: &str) -> Result<ShippedCode, String>;
}

/// Leaf that workers can run.
#[derive(Clone)]
pub struct LeafSource {
    /// SHA-256 that names the leaf: its component, limits and grants.
    pub leaf: Bytes,
    /// The most bytes of a partial.
    pub output: u64,
    /// Sizes of the pieces; `None` if the leaf does not take its partition piece by piece.
    pub pieces: Option<PieceSizes>,
    /// Its code.
    pub codes: Arc<dyn LeafCodes>,
}

impl fmt::Debug for LeafSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafSource").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

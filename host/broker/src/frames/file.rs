//! Files that a root and its worker may both have.

use frond_root::FilePiece;

use super::MAX_PATH;

/// File of an order's content.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FileOf {
    /// Absolute path at the root.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Size of the whole file, in bytes.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// Seconds of its modification time since 1970.
    #[prost(sint64, tag = "3")]
    pub seconds: i64,
    /// Nanoseconds of that time.
    #[prost(uint32, tag = "4")]
    pub nanos: u32,
    /// First byte of the content. Its length is the order's `size`.
    #[prost(uint64, tag = "5")]
    pub offset: u64,
}

impl FileOf {
    /// Writes a piece; `None` if its path is too long, or no UTF-8.
    #[must_use]
    pub fn new(piece: &FilePiece) -> Option<Self> {
        let path = piece.path.to_str().filter(|path| path.len() <= MAX_PATH)?.to_owned();
        let (seconds, nanos) = piece.modified;
        Some(Self { path, size: piece.size, seconds, nanos, offset: piece.offset })
    }

    /// Reads the piece, for a content of `len` bytes.
    #[must_use]
    pub fn piece(self, len: u64) -> FilePiece {
        let Self { path, size, seconds, nanos, offset } = self;
        FilePiece { path: path.into(), size, modified: (seconds, nanos), offset, len }
    }
}

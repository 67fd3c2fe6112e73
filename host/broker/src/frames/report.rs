//! Parts of the frame that reports the end of an attempt.

/// Reads of an attempt's content from the root.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Pulls {
    /// Time from the begin of the first one to the end of the last.
    #[prost(message, required, tag = "1")]
    pub span: Span,
    /// Time that all of them took.
    #[prost(uint64, tag = "2")]
    pub waited: u64,
    /// Number of reads.
    #[prost(uint64, tag = "3")]
    pub reads: u64,
    /// Bytes that were read.
    #[prost(uint64, tag = "4")]
    pub bytes: u64,
}

/// Span of time, by its distances from the end of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Span {
    /// Time from its begin to the end of the attempt.
    #[prost(uint64, tag = "1")]
    pub began: u64,
    /// Time from its end to the end of the attempt.
    #[prost(uint64, tag = "2")]
    pub ended: u64,
}

/// Progress of a leaf with its share.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Took {
    /// Unit after the last that it took.
    #[prost(uint64, tag = "1")]
    pub taken: u64,
    /// True if it needs no more.
    #[prost(bool, tag = "2")]
    pub is_skipped: bool,
    /// True if it asked for a piece.
    #[prost(bool, tag = "3")]
    pub has_asked: bool,
}

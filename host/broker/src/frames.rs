//! Frames between a root and a worker, as protobuf. A frame is one message of a
//! [`session`](crate::session), so it arrives once and in order.
//!
//! Times are in microseconds and lengths of time, never points in time: each side has its own
//! clock. The one exception, [`Started::at`], relates the attempts of one session to each other.
//! The root owns the shares of all partitions, and leases their units to workers.

mod fields;
mod file;
mod memo;
mod report;

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

pub use file::FileOf;
pub use frond_root::policy::credits::MOST_AHEAD;
pub use memo::{Forget, Held, KeptPartial, MemoOf, RangeOf, Recall};
pub use report::{Pulls, Span, Took};

/// The most bytes of one pull of a content.
pub const MAX_PULL: u64 = 1 << 20;
/// The most blocks of contents that a worker reads ahead at once.
pub const MOST_PULLED_AHEAD: usize = 256;
/// The largest content that goes to a worker with its order, in bytes.
pub const MAX_INLINE: u64 = 256 << 10;
/// The longest time of a leaf: a year.
pub const MOST_TIME: Duration = Duration::from_secs(365 * 86_400);
/// The most bytes of a file's path.
pub const MAX_PATH: usize = 4096;
/// Bytes of a memo's id.
pub const MEMO_ID: usize = 32;
/// Bytes of an attempt's token.
pub const TOKEN: usize = 16;
/// Smaller bytes are copied if they are kept for long: the packet that they came in may be as large
/// as two of them.
const SMALL: usize = 256 << 10;
/// The most attempts in one frame that gives them back, or says that they are stored.
pub const MOST_GIVEN_BACK: usize = 1024;

/// One frame.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    /// Content; `None` in a frame of a later version of the protocol.
    #[prost(
        oneof = "Said",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27"
    )]
    pub said: Option<Said>,
}

/// Content of a frame. The first ones go to a worker, the others to a root.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Said {
    /// A query has leaves to run.
    #[prost(message, tag = "1")]
    Open(Open),
    /// Code of a leaf, which the worker asked for.
    #[prost(message, tag = "2")]
    Code(Code),
    /// Attempts to run.
    #[prost(message, tag = "3")]
    Run(Run),
    /// More units for an attempt.
    #[prost(message, tag = "4")]
    Lease(Lease),
    /// A query is over.
    #[prost(message, tag = "5")]
    Stop(Stop),
    /// Bytes of a content, which the worker asked for.
    #[prost(message, tag = "6")]
    Content(Content),
    /// The worker is to take no more attempts, and to leave once it has ended those that run.
    #[prost(message, tag = "7")]
    Leave(Leave),
    /// The worker is to give back the attempts of a query that no slot has claimed.
    #[prost(message, tag = "8")]
    Return(Return),
    /// Partials of attempts are stored: the worker need not keep them.
    #[prost(message, tag = "9")]
    Stored(Stored),
    /// The root asks for the partials that the worker keeps under a memo.
    #[prost(message, tag = "10")]
    Recall(Recall),
    /// Partials that the worker kept under a memo are stored.
    #[prost(message, tag = "11")]
    Forget(Forget),
    /// Attempts must stop, while others of their query go on.
    #[prost(message, tag = "12")]
    Supersede(Supersede),
    /// The worker introduces itself: its first frame.
    #[prost(message, tag = "16")]
    Join(Join),
    /// The worker lacks a leaf's code.
    #[prost(message, tag = "17")]
    Need(Need),
    /// The worker cannot run a leaf.
    #[prost(message, tag = "18")]
    Refuse(Refuse),
    /// An attempt began.
    #[prost(message, tag = "19")]
    Started(Started),
    /// An attempt waits without a slot, or runs on.
    #[prost(message, tag = "20")]
    Waits(Waits),
    /// An attempt handed over a partial before its end.
    #[prost(message, tag = "21")]
    Emitted(Emitted),
    /// An attempt asks for more units.
    #[prost(message, tag = "22")]
    More(More),
    /// An attempt ended.
    #[prost(message, tag = "23")]
    Ended(Ended),
    /// Attempts that did not begin are given back.
    #[prost(message, tag = "24")]
    GivenBack(GivenBack),
    /// A leaf reads its content.
    #[prost(message, tag = "25")]
    Pull(Pull),
    /// The worker takes no more attempts.
    #[prost(message, tag = "26")]
    Drain(Drain),
    /// The worker hands over a partial that it keeps under a memo, or has no more.
    #[prost(message, tag = "27")]
    Held(Held),
}

/// An attempt of a query.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct AttemptOf {
    /// Number of the query within the session.
    #[prost(uint64, tag = "1")]
    pub query: u64,
    /// Index of the partition.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// Number of the attempt, from 1.
    #[prost(uint32, tag = "3")]
    pub number: u32,
}

/// A query has leaves to run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Open {
    /// Number of the query within the session.
    #[prost(uint64, tag = "1")]
    pub query: u64,
    /// SHA-256 that names the leaf: its component, limits and grants.
    #[prost(bytes = "bytes", tag = "2")]
    pub leaf: Bytes,
    /// The query's bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub bytes: Bytes,
    /// Fair-share group: the caller.
    #[prost(string, tag = "4")]
    pub caller: String,
    /// Fair-share group: the app.
    #[prost(string, tag = "5")]
    pub app: String,
    /// Weight of a background query.
    #[prost(uint32, optional, tag = "6")]
    pub background: Option<u32>,
    /// Memo under which the worker keeps what the root has not stored.
    #[prost(message, optional, tag = "7")]
    pub memo: Option<MemoOf>,
}

/// Code of a leaf.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Code {
    /// Name of the leaf.
    #[prost(bytes = "bytes", tag = "1")]
    pub leaf: Bytes,
    /// Settings of the leaf, opaque to the protocol.
    #[prost(bytes = "bytes", tag = "2")]
    pub settings: Bytes,
    /// The component.
    #[prost(bytes = "bytes", tag = "3")]
    pub component: Bytes,
    /// The compiled code for the worker's engine, if the root has it.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub compiled: Option<Bytes>,
    /// Reason why the root has no code.
    #[prost(string, optional, tag = "5")]
    pub missing: Option<String>,
    /// True if no query needs it any more.
    #[prost(bool, tag = "6")]
    pub is_over: bool,
}

/// Attempts to run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Run {
    /// Number of the query within the session.
    #[prost(uint64, tag = "1")]
    pub query: u64,
    /// The attempts.
    #[prost(message, repeated, tag = "2")]
    pub orders: Vec<Order>,
}

/// Attempt to run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Order {
    /// Index of the partition.
    #[prost(uint32, tag = "1")]
    pub partition: u32,
    /// Number of the attempt.
    #[prost(uint32, tag = "2")]
    pub number: u32,
    /// Key of the partition.
    #[prost(string, tag = "3")]
    pub key: String,
    /// Weight of the partition.
    #[prost(uint64, tag = "4")]
    pub weight: u64,
    /// Time left to the leaf.
    #[prost(uint64, tag = "5")]
    pub left: u64,
    /// Key of the limit behind that time.
    #[prost(string, tag = "6")]
    pub limit: String,
    /// Value of the limit.
    #[prost(uint64, tag = "7")]
    pub limit_value: u64,
    /// Size of the content in bytes.
    #[prost(uint64, tag = "8")]
    pub size: u64,
    /// The content; `None` if the worker must pull it.
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub content: Option<Bytes>,
    /// Share of the partition; `None` if the leaf takes no pieces.
    #[prost(message, optional, tag = "10")]
    pub share: Option<ShareOf>,
    /// Number of units of the content.
    #[prost(uint64, tag = "11")]
    pub units: u64,
    /// Kind of the unit.
    #[prost(enumeration = "Unit", tag = "12")]
    pub unit: i32,
    /// File that the content is a piece of, for a worker that may have the same one.
    #[prost(message, optional, tag = "13")]
    pub file: Option<FileOf>,
    /// Token of the attempt, which the worker hands over with what it keeps under the query's memo;
    /// empty without one.
    #[prost(bytes = "bytes", tag = "14")]
    pub token: Bytes,
}

/// Kind of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Unit {
    /// A byte.
    Byte = 0,
    /// An integer of a range.
    Integer = 1,
    /// The whole content.
    Whole = 2,
}

/// Share of a partition.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ShareOf {
    /// First unit.
    #[prost(uint64, tag = "1")]
    pub begin: u64,
    /// Unit after the last.
    #[prost(uint64, tag = "2")]
    pub end: u64,
    /// Unit up to which pieces may be taken.
    #[prost(uint64, tag = "3")]
    pub leased: u64,
    /// True if the pieces have a fixed size.
    #[prost(bool, tag = "4")]
    pub is_fixed: bool,
}

/// More units for an attempt.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Lease {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
    /// Unit up to which pieces may be taken.
    #[prost(uint64, tag = "2")]
    pub leased: u64,
    /// Unit after the last of the share, after all cuts.
    #[prost(uint64, tag = "3")]
    pub end: u64,
}

/// A query is over.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Stop {
    /// Number of the query within the session.
    #[prost(uint64, tag = "1")]
    pub query: u64,
    /// True if its time is up.
    #[prost(bool, tag = "2")]
    pub is_late: bool,
    /// True if the root gives it up before its end: what is finished is kept for the next one.
    #[prost(bool, tag = "3")]
    pub is_abandoned: bool,
}

/// Bytes of a content.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Content {
    /// Number of the pull.
    #[prost(uint64, tag = "1")]
    pub pull: u64,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub bytes: Bytes,
    /// The failure as JSON, if they could not be read.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub failure: Option<Bytes>,
}

/// The worker is to leave.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Leave {}

/// A worker is to give back the attempts of a query that no slot has claimed.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Return {
    /// Number of the query within the session.
    #[prost(uint64, tag = "1")]
    pub query: u64,
}

/// A worker introduces itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Join {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The most leaves that it runs at once.
    #[prost(uint32, tag = "2")]
    pub slots: u32,
    /// The most leaves that wait beside them.
    #[prost(uint32, tag = "3")]
    pub waiting: u32,
    /// Version of its program.
    #[prost(string, tag = "4")]
    pub version: String,
    /// Name of its engine: compiled code of another engine is of no use to it.
    #[prost(string, tag = "5")]
    pub engine: String,
    /// True if it keeps partials under memos.
    #[prost(bool, tag = "6")]
    pub keeps: bool,
    /// True if it may have files of the root, and wants to be told of them.
    #[prost(bool, tag = "7")]
    pub reads_files: bool,
}

/// A worker lacks a leaf's code.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Need {
    /// Name of the leaf.
    #[prost(bytes = "bytes", tag = "1")]
    pub leaf: Bytes,
}

/// A worker cannot run a leaf.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Refuse {
    /// Name of the leaf.
    #[prost(bytes = "bytes", tag = "1")]
    pub leaf: Bytes,
    /// The reason.
    #[prost(string, tag = "2")]
    pub why: String,
}

/// An attempt began.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Started {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
    /// Slot of the worker.
    #[prost(uint32, tag = "2")]
    pub slot: u32,
    /// Time of the begin on the worker's clock, which counts from any time before the session.
    /// `None` from a worker that does not tell it.
    #[prost(uint64, optional, tag = "3")]
    pub at: Option<u64>,
    /// Time from the arrival of the order to the begin.
    #[prost(uint64, tag = "4")]
    pub queued: u64,
}

/// An attempt waits without a slot, or runs on.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Waits {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
    /// True if it waits.
    #[prost(bool, tag = "2")]
    pub is_waiting: bool,
}

/// An attempt handed over a partial.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Emitted {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
    /// The partial.
    #[prost(bytes = "bytes", tag = "2")]
    pub partial: Bytes,
    /// Share of the partition that it covers, unless it covers exactly the units so far.
    #[prost(double, optional, tag = "3")]
    pub share: Option<f64>,
    /// Unit up to which it covers the share.
    #[prost(uint64, tag = "4")]
    pub kept: u64,
    /// True if what it emitted before is to be forgotten, and nothing takes its place.
    #[prost(bool, tag = "5")]
    pub is_retracted: bool,
}

/// An attempt asks for more units.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct More {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
}

/// An attempt ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ended {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
    /// The partial of a success.
    #[prost(bytes = "bytes", tag = "2")]
    pub partial: Bytes,
    /// The failure as JSON.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub failure: Option<Bytes>,
    /// Time on a slot.
    #[prost(uint64, tag = "4")]
    pub ran: u64,
    /// Time without a slot.
    #[prost(uint64, tag = "5")]
    pub waited: u64,
    /// Longest waits.
    #[prost(message, repeated, tag = "6")]
    pub waits: Vec<Span>,
    /// Fuel that the call used.
    #[prost(uint64, tag = "7")]
    pub fuel: u64,
    /// Peak memory of the call.
    #[prost(uint64, tag = "8")]
    pub memory: u64,
    /// Bytes that the call wrote to its log.
    #[prost(uint64, tag = "9")]
    pub logged: u64,
    /// Last log lines of a success.
    #[prost(string, repeated, tag = "10")]
    pub log: Vec<String>,
    /// Number of earlier calls of the instance.
    #[prost(uint32, tag = "11")]
    pub earlier: u32,
    /// How far the leaf came with its share.
    #[prost(message, optional, tag = "12")]
    pub took: Option<Took>,
    /// Bytes of the result.
    #[prost(uint64, tag = "13")]
    pub output: u64,
    /// Time from the begin to the end. `None` from a worker that does not tell it.
    #[prost(uint64, optional, tag = "14")]
    pub lasted: Option<u64>,
    /// Time in which the leaf's code was fetched and loaded, if the attempt waited for it.
    #[prost(message, optional, tag = "15")]
    pub code: Option<Span>,
    /// Reads of its content from the root.
    #[prost(message, optional, tag = "16")]
    pub pulls: Option<Pulls>,
}

/// Attempts are given back.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GivenBack {
    /// The attempts.
    #[prost(message, repeated, tag = "1")]
    pub of: Vec<AttemptOf>,
}

/// A leaf reads its content.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Pull {
    /// Number of the pull, within the session.
    #[prost(uint64, tag = "1")]
    pub pull: u64,
    /// The attempt.
    #[prost(message, required, tag = "2")]
    pub of: AttemptOf,
    /// First byte.
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    /// Number of bytes.
    #[prost(uint64, tag = "4")]
    pub len: u64,
}

/// The worker takes no more attempts.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Drain {}

/// Partials of attempts are stored.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Stored {
    /// The partials.
    #[prost(message, repeated, tag = "1")]
    pub partials: Vec<StoredPartial>,
}

/// Stored partial.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct StoredPartial {
    /// The attempt.
    #[prost(message, required, tag = "1")]
    pub of: AttemptOf,
    /// Unit up to which the partial of a running attempt covers its share; `None` once the attempt
    /// has ended.
    #[prost(uint64, optional, tag = "2")]
    pub until: Option<u64>,
}

/// Attempts must stop: others at the same units were done first.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Supersede {
    /// The attempts.
    #[prost(message, repeated, tag = "1")]
    pub of: Vec<AttemptOf>,
}

/// Copies small bytes out of the packet that they came in, to be kept for long.
pub(crate) fn owned(bytes: Bytes) -> Bytes {
    if bytes.len() < SMALL { Bytes::copy_from_slice(&bytes) } else { bytes }
}

/// Bytes of a frame.
#[must_use]
pub fn encoded(said: Said) -> Bytes {
    Frame { said: Some(said) }.encode_to_vec().into()
}

/// Reads a frame; `None` for one of a later version.
///
/// # Errors
/// Bytes that are no frame.
pub fn decoded(bytes: Bytes) -> Result<Option<Said>, String> {
    let wrong = |error| format!("sent what is no frame: {error}");
    if !fields::are_few(&bytes).map_err(wrong)? {
        return Err("sent a frame of too many fields".to_owned());
    }
    Frame::decode(bytes).map(|frame| frame.said).map_err(wrong)
}

//! Plan of a query: its checked partitions, in order, with their weights. Pure.

mod stored;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::failure::{Error, Failure};
use crate::ids::PartitionKey;
use crate::notes::Notes;
use crate::quote::clipped;

pub use stored::StoredPartials;

/// The most partitions of one query. Bounds the memory of a plan, at about 100 bytes each.
pub const MAX_PARTITIONS: usize = 1_000_000;

/// The largest weight of one partition, 16 Ti: the sum over a whole plan cannot overflow.
pub const MAX_WEIGHT: u64 = 1 << 44;

/// Unit in which leaves take a content piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A byte.
    Byte,
    /// An integer of a range.
    Integer,
    /// The whole content: it is handed out at once, and never cut.
    Whole,
}

/// Units of a content that leaves take piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Number of units.
    pub count: u64,
    /// Kind of the unit, which bounds the size of the pieces.
    pub grain: Grain,
}

/// Piece of a regular file, as another host finds it that has the same file. It has no numbers of
/// device and inode: they differ between hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePiece {
    /// Absolute path of the file, without `..`.
    pub path: PathBuf,
    /// Size of the whole file at planning, in bytes.
    pub size: u64,
    /// Modification time of the file at planning, as seconds and nanoseconds.
    pub modified: (i64, u32),
    /// First byte of the piece.
    pub offset: u64,
    /// Number of bytes of the piece.
    pub len: u64,
}

/// Content of a partition, read when its leaf runs and not before.
pub trait Content: Send + Sync + Debug {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Units of the content: its bytes, unless it stands for something else.
    fn units(&self) -> Units {
        Units { count: self.size(), grain: Grain::Byte }
    }

    /// Reads the `len` bytes from `offset`; fewer only where the content ends.
    ///
    /// # Errors
    /// `invalid-partition` when the content has changed since planning, `unavailable` when reading
    /// failed.
    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure>;

    /// Reads the whole content. Callers check [`Content::size`] against their limit first.
    ///
    /// # Errors
    /// See [`Content::read`].
    fn whole(&self) -> Result<Bytes, Failure>;

    /// Address under which another process finds the content, in the notation of the planner;
    /// `None` for content of this process only.
    fn place(&self) -> Option<String> {
        None
    }

    /// Piece of a file that is the content; `None` if it is none, or if another host cannot find
    /// it.
    fn file(&self) -> Option<FilePiece> {
        None
    }

    /// Number of the file system of the content if a read there may hang, as on a network file
    /// system without its server; `None` when reads return soon.
    fn remote(&self) -> Option<u64> {
        None
    }

    /// True when reads are known to fail. The partition is then claimed first: a query that needs
    /// all partitions fails before it runs the others.
    fn is_unreadable(&self) -> bool {
        false
    }
}

/// Content that cannot be read: its leaf fails with the reason, and the floor decides about the
/// query.
#[derive(Clone, Debug)]
pub struct Unreadable {
    reason: Failure,
    size: u64,
}

impl Unreadable {
    /// A content of `size` bytes (0 if unknown) that fails with `reason`.
    #[must_use]
    pub fn new(reason: Failure, size: u64) -> Self {
        Self { reason, size }
    }
}

impl Content for Unreadable {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, _offset: u64, _len: usize) -> Result<Bytes, Failure> {
        Err(self.reason.clone())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Err(self.reason.clone())
    }

    fn is_unreadable(&self) -> bool {
        true
    }
}

impl Content for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let to = from.saturating_add(len).min(self.len());
        Ok(self.slice(from..to))
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(self.clone())
    }
}

/// One piece of a query's work.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Stable name.
    pub key: PartitionKey,
    /// Share of the work: bytes, unless the app says otherwise. A plan counts 0 as 1 and refuses
    /// weights above [`MAX_WEIGHT`].
    pub weight: u64,
    /// Content that the leaf reads.
    pub content: Arc<dyn Content>,
}

impl Partition {
    /// A partition weighed by the bytes of its content; an empty content weighs 1.
    pub fn new(key: impl Into<PartitionKey>, content: impl Content + 'static) -> Self {
        let weight = content.size().max(1);
        Self { key: key.into(), weight, content: Arc::new(content) }
    }

    /// Sets the weight; 0 counts as 1.
    #[must_use]
    pub fn weighing(mut self, weight: u64) -> Self {
        self.weight = weight.max(1);
        self
    }
}

/// Partitions of one query. A partition's index is its position in the plan.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    partitions: Vec<Partition>,
    weight: u64,
    query: Option<Bytes>,
    stored: StoredPartials,
    notes: Arc<Notes>,
}

/// Refuses a weight above [`MAX_WEIGHT`].
///
/// # Errors
/// [`Error::TooHeavy`].
pub fn light_enough(key: &PartitionKey, weight: u64) -> Result<(), Error> {
    match weight {
        0..=MAX_WEIGHT => Ok(()),
        _ => Err(Error::TooHeavy { key: key.clone(), weight, limit: MAX_WEIGHT }),
    }
}

impl Plan {
    /// Checks that keys are unique and without NUL, that there are not too many partitions, and
    /// that none weighs too much.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`], [`Error::NulInKey`], [`Error::TooManyPartitions`] or
    /// [`Error::TooHeavy`].
    pub fn new(mut partitions: Vec<Partition>) -> Result<Self, Error> {
        if partitions.len() > MAX_PARTITIONS {
            return Err(Error::TooManyPartitions { count: partitions.len(), limit: MAX_PARTITIONS });
        }
        let mut keys = HashSet::with_capacity(partitions.len());
        if let Some(twice) = partitions.iter().find(|one| !keys.insert(&one.key)) {
            return Err(Error::DuplicateKey(twice.key.clone()));
        }
        if let Some(wrong) = partitions.iter().find(|one| one.key.has_nul()) {
            return Err(Error::NulInKey(wrong.key.clone()));
        }
        for one in &mut partitions {
            one.weight = one.weight.max(1);
            light_enough(&one.key, one.weight)?;
        }
        let weight = partitions.iter().map(|one| one.weight).sum();
        Ok(Self { partitions, weight, ..Self::default() })
    }

    /// Replaces the query that leaves and merges receive, for a query that brought its own
    /// partitions.
    #[must_use]
    pub fn asking(mut self, query: Bytes) -> Self {
        self.query = Some(query);
        self
    }

    /// Sets the partials that the journal has, for a query that is resumed.
    #[must_use]
    pub fn keeping(mut self, stored: impl Into<StoredPartials>) -> Self {
        self.stored = stored.into();
        self.stored.truncate(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
        self
    }

    /// Sets the remarks on inputs; more may be added while contents are read.
    #[must_use]
    pub fn noting(mut self, notes: Arc<Notes>) -> Self {
        self.notes = notes;
        self
    }

    /// The remarks on inputs.
    #[must_use]
    pub fn notes(&self) -> &Arc<Notes> {
        &self.notes
    }

    /// The partials that the journal has.
    #[must_use]
    pub fn stored(&self) -> &StoredPartials {
        &self.stored
    }

    /// Query that leaves and merges receive in place of the request's, if any.
    #[must_use]
    pub fn query(&self) -> Option<&Bytes> {
        self.query.as_ref()
    }

    /// Partitions by index.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The partition at `index`.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&Partition> {
        self.partitions.get(index as usize)
    }

    /// Number of partitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// True for a plan without partitions: its answer is the `finish` of no partials.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Sum of the weights.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Indexes of the required keys.
    ///
    /// # Errors
    /// [`Error::UnknownRequired`] for a key that no partition has.
    pub fn required(&self, keys: &[PartitionKey]) -> Result<Vec<u32>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        // One pass, however many keys there are.
        let wanted: HashSet<&PartitionKey> = keys.iter().collect();
        let named = (0_u32..).zip(&self.partitions).filter(|(_, one)| wanted.contains(&one.key));
        let found: HashMap<&PartitionKey, u32> = named.map(|(index, one)| (&one.key, index)).collect();
        let unknown = |key: &PartitionKey| Error::UnknownRequired { key: key.clone(), known: self.some_keys() };
        keys.iter().map(|key| found.get(key).copied().ok_or_else(|| unknown(key))).collect()
    }

    fn some_keys(&self) -> String {
        let mut known: Vec<_> =
            self.partitions.iter().take(8).map(|one| format!("`{}`", clipped(one.key.as_str()))).collect();
        if self.partitions.len() > known.len() {
            known.push(format!("and {} more", self.partitions.len() - known.len()));
        }
        if known.is_empty() {
            known.push("none".to_owned());
        }
        known.join(", ")
    }
}

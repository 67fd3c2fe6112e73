//! What will be scattered: the partitions, checked, in order, with their weights. Pure.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::failure::{Error, Failure};
use crate::ids::PartitionKey;
use crate::notes::Notes;

/// The most partitions that one query may have. Bounds what a plan can take: about 100 bytes each.
pub const MAX_PARTITIONS: usize = 1_000_000;

/// The most that one partition may weigh, 16 Ti: the weights of a whole plan add up without overflow.
pub const MAX_WEIGHT: u64 = 1 << 44;

/// A partition's content, read when its leaf runs and not before.
pub trait Content: Send + Sync + Debug {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// The `len` bytes from `offset`, fewer only where the content ends.
    ///
    /// # Errors
    /// `invalid-partition` when the content is no longer what was planned, `unavailable` when reading failed.
    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure>;

    /// All of it. Callers check [`Content::size`] against their limit first.
    ///
    /// # Errors
    /// As [`Content::read`].
    fn whole(&self) -> Result<Bytes, Failure>;

    /// Where it can be found again by another process, as whoever planned it writes such places; `None` for content that
    /// is nowhere but here.
    fn place(&self) -> Option<String> {
        None
    }

    /// The number of the file system that it lies on, if a read there may never return, as on a network file system whose
    /// server is gone; `None` when reads return soon.
    fn remote(&self) -> Option<u64> {
        None
    }

    /// True when it is known that it cannot be read: its leaf is claimed first, so that a query that needs all of its
    /// partitions does not run the others in vain.
    fn is_unreadable(&self) -> bool {
        false
    }
}

/// A content that cannot be read: its leaf fails with the reason, and the floor decides what becomes of the query.
#[derive(Clone, Debug)]
pub struct Unreadable {
    reason: Failure,
    size: u64,
}

impl Unreadable {
    /// A content of `size` bytes, 0 where that is unknown, with the reason why it cannot be read.
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
    /// Its stable name.
    pub key: PartitionKey,
    /// Its share of the work: bytes, unless the app says otherwise. A plan counts 0 as 1, and refuses what is above
    /// [`MAX_WEIGHT`].
    pub weight: u64,
    /// What its leaf reads.
    pub content: Arc<dyn Content>,
}

impl Partition {
    /// A partition weighed by its content's bytes (an empty one weighs 1, so that it is not invisible).
    pub fn new(key: impl Into<PartitionKey>, content: impl Content + 'static) -> Self {
        let weight = content.size().max(1);
        Self { key: key.into(), weight, content: Arc::new(content) }
    }

    /// The same with a weight of its own; 0 counts as 1.
    #[must_use]
    pub fn weighing(mut self, weight: u64) -> Self {
        self.weight = weight.max(1);
        self
    }
}

/// The partitions of one query. A partition's index is its position here.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    partitions: Vec<Partition>,
    weight: u64,
    query: Option<Bytes>,
    kept: BTreeSet<u32>,
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
    /// Checks that keys are unique texts, that there are not too many, and that none weighs too much.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`], [`Error::NulInKey`], [`Error::TooManyPartitions`], [`Error::TooHeavy`].
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

    /// The same for a query that brought its partitions along: leaves and merges get `query` in its place.
    #[must_use]
    pub fn asking(mut self, query: Bytes) -> Self {
        self.query = Some(query);
        self
    }

    /// The same for a query that goes on after an interruption: the journal has the partials of these indexes.
    #[must_use]
    pub fn keeping(mut self, kept: BTreeSet<u32>) -> Self {
        self.kept = kept;
        self.kept.split_off(&u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
        self
    }

    /// The plan with the remarks on its inputs, which may become more while contents are read.
    #[must_use]
    pub fn noting(mut self, notes: Arc<Notes>) -> Self {
        self.notes = notes;
        self
    }

    /// The remarks on its inputs.
    #[must_use]
    pub fn notes(&self) -> &Arc<Notes> {
        &self.notes
    }

    /// How many partials the journal has.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// True when the journal has the partial of this index.
    #[must_use]
    pub fn is_kept(&self, index: u32) -> bool {
        self.kept.contains(&index)
    }

    /// Indexes of kept partials above `after`, up to and including `last`, ascending.
    pub(crate) fn kept_within(&self, after: Option<u32>, last: u32) -> impl Iterator<Item = u32> + '_ {
        let from = after.map_or(0, |after| after.saturating_add(1));
        self.kept.range(from..).copied().take_while(move |index| *index <= last)
    }

    /// What leaves and merges get in the place of the request's query, if anything.
    #[must_use]
    pub fn query(&self) -> Option<&Bytes> {
        self.query.as_ref()
    }

    /// The partitions, by index.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The partition at `index`.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&Partition> {
        self.partitions.get(index as usize)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// True for a plan without partitions: its answer is what `finish` makes of nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The sum of the weights.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The indexes of the required keys.
    ///
    /// # Errors
    /// [`Error::UnknownRequired`] for a key that no partition has.
    pub fn required(&self, keys: &[PartitionKey]) -> Result<Vec<u32>, Error> {
        keys.iter().map(|key| self.index_of(key)).collect()
    }

    fn index_of(&self, key: &PartitionKey) -> Result<u32, Error> {
        (0_u32..)
            .zip(&self.partitions)
            .find(|(_, one)| one.key == *key)
            .map(|(index, _)| index)
            .ok_or_else(|| Error::UnknownRequired { key: key.clone(), known: self.some_keys() })
    }

    fn some_keys(&self) -> String {
        let mut known: Vec<_> = self.partitions.iter().take(8).map(|one| format!("`{}`", one.key)).collect();
        if self.partitions.len() > known.len() {
            known.push(format!("and {} more", self.partitions.len() - known.len()));
        }
        if known.is_empty() {
            known.push("none".to_owned());
        }
        known.join(", ")
    }
}

//! Fault injection: the faults of production, on demand, for the author of a plugin.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use frond_app::size::{parse_duration, parse_size};
use frond_root::call::Limits;
use frond_root::{Content, Error, Failure, FailureKind, Partition, Plan, Units};
use frond_sandbox::GuestGrants;
use serde::{Deserialize, Deserializer};

/// An injected fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `oom-at=SIZE`: the memory limit is at most this many bytes.
    OomAt(u64),
    /// `out-of-fuel-at=N`: the fuel limit is at most N units.
    OutOfFuelAt(u64),
    /// `truncate-partition` or `truncate-partition=SIZE`: the partition ends half-way, or after
    /// this many bytes.
    TruncatePartition(Option<u64>),
    /// `unavailable`: the partition cannot be read. In a query the first read of each partition
    /// fails, and the retry succeeds.
    Unavailable,
    /// `deny-http`: every request is refused.
    DenyHttp,
    /// `slow-host=HOST:TIME`: each response of this host takes TIME longer.
    SlowHost(String, std::time::Duration),
}

/// The syntax of each fault.
const FORMS: &str =
    "oom-at=SIZE, out-of-fuel-at=N, truncate-partition[=SIZE], unavailable, deny-http, slow-host=HOST:TIME";

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let size = |text: &str| parse_size(text).map_err(|error| error.to_string());
        match (name, value) {
            ("oom-at", Some(value)) => Ok(Self::OomAt(size(value)?)),
            ("out-of-fuel-at", Some(value)) => {
                let plain = value.replace('_', "").parse();
                plain.map(Self::OutOfFuelAt).map_err(|_| format!("`{value}` is not a number of units of fuel"))
            }
            ("truncate-partition", value) => Ok(Self::TruncatePartition(value.map(size).transpose()?)),
            ("unavailable", None) => Ok(Self::Unavailable),
            ("deny-http", None) => Ok(Self::DenyHttp),
            ("slow-host", Some(value)) => {
                let (host, time) = value.rsplit_once(':').ok_or("write slow-host=HOST:TIME, such as api:200ms")?;
                Ok(Self::SlowHost(host.to_owned(), parse_duration(time).map_err(|error| error.to_string())?))
            }
            _ => Err(format!("`{text}` is not a fault\n(there are: {FORMS})")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OomAt(bytes) => write!(f, "oom-at={bytes}"),
            Self::OutOfFuelAt(fuel) => write!(f, "out-of-fuel-at={fuel}"),
            Self::TruncatePartition(None) => f.write_str("truncate-partition"),
            Self::TruncatePartition(Some(bytes)) => write!(f, "truncate-partition={bytes}"),
            Self::Unavailable => f.write_str("unavailable"),
            Self::DenyHttp => f.write_str("deny-http"),
            Self::SlowHost(host, time) => write!(f, "slow-host={host}:{}ms", time.as_millis()),
        }
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Returns the leaf's limits under the faults.
pub(crate) fn limits(faults: &[Fault], limits: Limits) -> Limits {
    faults.iter().fold(limits, |limits, fault| match fault {
        Fault::OomAt(bytes) => Limits { memory: limits.memory.min(*bytes), ..limits },
        // A limit of 0 would turn metering off.
        Fault::OutOfFuelAt(fuel) if limits.fuel > 0 => Limits { fuel: limits.fuel.min((*fuel).max(1)), ..limits },
        _ => limits,
    })
}

/// Adds the faults that concern grants to a leaf's grants.
pub(crate) fn grants(faults: &[Fault], grants: &mut GuestGrants) {
    for fault in faults {
        match fault {
            Fault::DenyHttp => grants.faults.deny_http = true,
            Fault::SlowHost(host, time) => grants.faults.slow_host = Some((host.clone(), *time)),
            _ => {}
        }
    }
}

/// Returns the partition under the faults. With `passing`, an `unavailable` fault fails only once,
/// so that a retry succeeds.
pub(crate) fn partition(faults: &[Fault], partition: Partition, passing: bool) -> Partition {
    faults.iter().fold(partition, |partition, fault| {
        let inner = partition.content.clone();
        let content: Arc<dyn Content> = match fault {
            Fault::TruncatePartition(size) => {
                let size = size.unwrap_or(inner.size() / 2).min(inner.size());
                Arc::new(Truncated { inner, size })
            }
            Fault::Unavailable => Arc::new(Unreadable { inner, passing, failed: AtomicBool::new(false) }),
            _ => return partition,
        };
        Partition { content, ..partition }
    })
}

/// Returns a query's plan under the faults.
pub(crate) fn plan(faults: &[Fault], plan: &Plan) -> Result<Plan, Error> {
    let partitions = plan.partitions().iter().map(|one| partition(faults, one.clone(), true)).collect();
    let broken = Plan::new(partitions)?;
    Ok(match plan.query() {
        Some(query) => broken.asking(query.clone()),
        None => broken,
    })
}

/// Content without its end.
#[derive(Debug)]
struct Truncated {
    inner: Arc<dyn Content>,
    size: u64,
}

impl Content for Truncated {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.inner.read(offset, len.min(left))
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.read(0, usize::MAX)
    }
}

/// Content that cannot be read, at the first try or at all.
#[derive(Debug)]
struct Unreadable {
    inner: Arc<dyn Content>,
    passing: bool,
    failed: AtomicBool,
}

impl Unreadable {
    fn check(&self) -> Result<(), Failure> {
        if self.passing && self.failed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        Err(Failure::new(FailureKind::Unavailable, "the partition could not be read (injected)"))
    }
}

impl Content for Unreadable {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn units(&self) -> Units {
        self.inner.units()
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.check()?;
        self.inner.read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.check()?;
        self.inner.whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_written_and_in_the_docs() {
        let docs = include_str!("../../docs/plugins.md");
        for form in FORMS.split(", ") {
            assert!(docs.contains(&format!("`{form}`")), "host/docs/plugins.md lacks `{form}`");
            let example = form.replace("[=SIZE]", "=1MiB").replace("HOST:TIME", "api:200ms");
            let fault: Fault = example.replace("=SIZE", "=1MiB").replace("=N", "=1_000").parse().unwrap();
            assert_eq!(fault.to_string().parse::<Fault>(), Ok(fault));
        }
    }
}

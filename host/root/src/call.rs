//! Vocabulary of one guest call: its limits, its grants beyond computing, and its usage.
//!
//! An app sets them, a runner obeys them, and captures, events and views show them, all with these
//! types.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ports of a grant that names none: those of `http` and `https`.
const WEB: [u16; 2] = [80, 443];

/// Quantity that a limit bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Microseconds.
    Time,
    /// Units of fuel.
    Fuel,
    /// Bytes of linear memory.
    Memory,
    /// Elements of tables.
    TableElements,
    /// Bytes of result.
    Output,
    /// Calls to the host.
    HostCalls,
    /// Bytes of a partition that is handed over whole.
    Partition,
}

/// Unit of a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Microseconds.
    Time,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
}

/// Lifetime of a leaf's instances. An instance never serves another query, app, version or caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceMode {
    /// Each call has a fresh instance.
    #[default]
    Fresh,
    /// The calls of one query on one slot share an instance.
    Query,
}

/// Process in which leaves run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// The root's own, or that of a worker.
    #[default]
    Thread,
    /// A worker process of this machine, behind as much of the second wall as the kernel offers.
    Process,
    /// A worker process behind the whole second wall.
    WalledProcess,
}

/// Resource limits of one guest call. The keys are those of `frond.toml`. A record has all of them;
/// a later one needs a serde default, so that older records stay readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Fuel, about one unit an instruction; 0 is unmetered.
    pub fuel: u64,
    /// Linear memory in bytes, summed over all memories of the call.
    pub memory: u64,
    /// Table elements, summed over all tables of the call.
    pub table_elements: u64,
    /// Most bytes of a result, and of each emitted partial.
    pub output: u64,
    /// Most bytes of stdout and stderr together in the log; the last ones are kept.
    pub log: u64,
    /// Most bytes of a partition that is passed as a list. A guest that imports `source` is exempt.
    pub partition: u64,
    /// Number of calls from the guest to the host.
    pub host_calls: u64,
}

/// Resources that one guest call used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Usage {
    /// Fuel consumed; 0 when unmetered.
    pub fuel: u64,
    /// Peak of linear memory in bytes, summed over the store.
    pub memory: u64,
    /// Bytes of the result.
    pub output: u64,
    /// Bytes written to stdout and stderr, including those above the cap.
    pub log: u64,
}

/// Capabilities of a leaf and a split beyond computing; by default none. A merge has none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Grants {
    /// Folders that the guest may read.
    pub directories: Vec<Directory>,
    /// Names of this process's environment variables that the guest sees.
    pub env: Vec<String>,
    /// Values that the guest reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// Destinations of HTTP requests. The first grant that fits a request decides.
    pub http: Vec<HttpGrant>,
}

/// Folder that a guest may read but not write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Directory {
    /// Path of the folder on the host, usable from the current folder.
    pub host: PathBuf,
    /// Absolute path of the folder in the guest, such as `/data`.
    pub guest: String,
}

/// Destination of HTTP requests, with the limits of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpGrant {
    /// Hosts that requests may go to.
    pub host: HostPattern,
    /// Ports that requests may go to.
    pub ports: Ports,
    /// Allowed methods, in the spelling of the request line.
    pub methods: Vec<String>,
    /// Time limit of one request, the answer's body included; `None` leaves it to the call's
    /// deadline.
    pub time: Option<Duration>,
    /// Largest body of a request or of a response, in bytes.
    pub body: u64,
    /// True if host names may resolve to addresses that are not public (disables the SSRF guard).
    pub private: bool,
}

/// Host part of a grant for HTTP requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HostPattern {
    /// Exactly this name, in lower case.
    Name(String),
    /// Every name below this one: `*.example.com`.
    Below(String),
    /// Exactly this address, public or not: a grant names it expressly.
    Address(IpAddr),
}

/// Port part of a grant for HTTP requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ports {
    /// Ports 80 and 443.
    Web,
    /// Exactly this port.
    One(u16),
    /// Every port.
    Any,
}

impl InstanceMode {
    /// Spelling used in `frond.toml` and everywhere else outside the code.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Query => "query",
        }
    }
}

impl Bound {
    /// All bounds.
    pub const ALL: [Self; 7] =
        [Self::Time, Self::Fuel, Self::Memory, Self::TableElements, Self::Output, Self::HostCalls, Self::Partition];

    /// The key as `frond.toml` spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::TableElements => "table-elements",
            Self::Output => "output",
            Self::HostCalls => "host-calls",
            Self::Partition => "partition",
        }
    }

    /// Unit of the bound's values.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::Time => Unit::Time,
            Self::Memory | Self::Output | Self::Partition => Unit::Bytes,
            Self::Fuel | Self::TableElements | Self::HostCalls => Unit::Count,
        }
    }
}

impl Default for Limits {
    /// Returns the limits of a leaf.
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            memory: 64 << 20,
            table_elements: 20_000,
            output: 4 << 20,
            log: 16 << 10,
            partition: 16 << 20,
            host_calls: 1_000_000,
        }
    }
}

impl Limits {
    /// Value of one limit; `None` for time, which each call has of its own.
    #[must_use]
    pub fn value(&self, bound: Bound) -> Option<u64> {
        Some(match bound {
            Bound::Fuel => self.fuel,
            Bound::Memory => self.memory,
            Bound::TableElements => self.table_elements,
            Bound::Output => self.output,
            Bound::HostCalls => self.host_calls,
            Bound::Partition => self.partition,
            Bound::Time => return None,
        })
    }

    /// True if the call's fuel is limited, which needs code that counts it.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.fuel > 0
    }
}

impl Grants {
    /// True if this set includes all grants of `other`. Values of `wasi:config` are not rights and
    /// are ignored.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        let Self { directories, env, config: _, http } = other;
        directories.iter().all(|one| self.directories.contains(one))
            && env.iter().all(|one| self.env.contains(one))
            && http.iter().all(|one| self.http.contains(one))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Ports {
    /// True if a request may go to this port.
    #[must_use]
    pub fn include(self, port: u16) -> bool {
        match self {
            Self::Web => WEB.contains(&port),
            Self::One(one) => one == port,
            Self::Any => true,
        }
    }
}

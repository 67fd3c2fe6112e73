//! Grants of an app to its leaf and its split, as plain data. Everything else is denied.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use frond_tls::Trust;

#[cfg(test)]
mod tests;

/// Ports of a grant that names none: those of `http` and `https`.
const WEB: [u16; 2] = [80, 443];

/// Resources that a leaf or a split may use beyond computing; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Folders that may be read.
    pub directories: Vec<Directory>,
    /// Environment variables: names and the values that the guest sees.
    pub env: Vec<(String, String)>,
    /// Values in `wasi:config/store`, by key.
    pub config: BTreeMap<String, String>,
    /// Targets of HTTP requests. Of those that fit a request, the first decides.
    pub http: Vec<HttpGrant>,
    /// Certificates that TLS trusts as roots.
    pub trust: Trust,
    /// Faults to inject, for tests of a plugin.
    pub faults: InjectedFaults,
}

/// Folder that may be read, but not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Path on the host.
    pub host: PathBuf,
    /// Path that the guest sees, such as `/data`.
    pub guest: String,
}

/// Target of HTTP requests, with the limits of each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Host of the requests.
    pub host: HostPattern,
    /// Ports of the host.
    pub ports: Ports,
    /// Methods, as they are sent: `GET`.
    pub methods: Vec<String>,
    /// Most time of one request, the answer's body included; `None` leaves it to the call's
    /// deadline.
    pub time: Option<Duration>,
    /// Most bytes of an answer's body, and of a request's body.
    pub body: u64,
    /// True if the host's name may resolve to addresses that are not public.
    pub private: bool,
}

/// Pattern of the hosts of HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Exactly this name.
    Name(String),
    /// Every name that ends in a dot and this one: `*.example.com`.
    Below(String),
    /// Exactly this address, public or not: a grant names it expressly.
    Address(IpAddr),
}

/// Ports of HTTP requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// 80 and 443.
    Web,
    /// This port.
    One(u16),
    /// Every port.
    Any,
}

/// Faults to inject for a test. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InjectedFaults {
    /// True to deny every HTTP request, whatever is granted.
    pub deny_http: bool,
    /// Host name and delay: a request to the host waits before it leaves this process.
    pub slow_host: Option<(String, Duration)>,
    /// Addresses of names, in place of the system's resolver. They are checked as any others.
    pub resolve: BTreeMap<String, Vec<IpAddr>>,
}

impl Grants {
    /// Returns true if there are no grants and no faults.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// Host of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Name in lower case, without a final dot.
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// Parses the host of a URI: a name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) fn read(host: &str) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match bare.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Name(normal(host)),
        }
    }

    /// Returns true if the target has this name or address.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        *self == Self::read(name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl HostPattern {
    pub(crate) fn fits(&self, target: &Target) -> bool {
        match (self, target) {
            (Self::Name(pattern), Target::Name(name)) => normal(pattern) == *name,
            (Self::Below(pattern), Target::Name(name)) => name
                .strip_suffix(normal(pattern).as_str())
                .and_then(|above| above.strip_suffix('.'))
                .is_some_and(|above| !above.is_empty()),
            (Self::Address(granted), Target::Address(address)) => granted == address,
            _ => false,
        }
    }
}

impl Ports {
    pub(crate) fn fit(self, port: u16) -> bool {
        match self {
            Self::Web => WEB.contains(&port),
            Self::One(one) => one == port,
            Self::Any => true,
        }
    }
}

/// Grants of one call.
#[derive(Clone, Debug)]
pub(crate) enum CallGrants {
    /// No grants: a merge cannot be granted anything.
    Never,
    /// No grants yet. Holds no `Arc`, so that calls do not contend for its reference count.
    Nothing,
    These(Arc<Grants>),
}

impl From<&Arc<Grants>> for CallGrants {
    fn from(grants: &Arc<Grants>) -> Self {
        if grants.is_empty() { Self::Nothing } else { Self::These(grants.clone()) }
    }
}

impl CallGrants {
    pub(crate) fn get(&self) -> Option<&Grants> {
        match self {
            Self::These(grants) => Some(grants),
            Self::Never | Self::Nothing => None,
        }
    }

    /// Returns the remedy for a denial: `hint`, or for a merge, that there is none.
    pub(crate) fn remedy(&self, hint: String) -> String {
        match self {
            Self::Never => "a merge is never granted anything: let the leaf ask".to_owned(),
            Self::Nothing | Self::These(_) => hint,
        }
    }

    /// Returns the first grant that allows a request, or the missing part of the nearest grant.
    pub(crate) fn http(&self, target: &Target, port: u16, method: &str) -> Result<&HttpGrant, MissingGrant<'_>> {
        let grants = self.get().map_or(&[][..], |grants| &grants.http);
        let mut lacking = MissingGrant::Host;
        for grant in grants.iter().filter(|grant| grant.host.fits(target)) {
            if !grant.ports.fit(port) {
                lacking = lacking.or(MissingGrant::Port(grant));
            } else if !grant.methods.iter().any(|one| one == method) {
                lacking = MissingGrant::Method(grant);
            } else {
                return Ok(grant);
            }
        }
        Err(lacking)
    }
}

/// Missing part of the grant that comes nearest to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MissingGrant<'a> {
    Host,
    Port(&'a HttpGrant),
    Method(&'a HttpGrant),
}

impl<'a> MissingGrant<'a> {
    fn or(self, other: MissingGrant<'a>) -> Self {
        if self == MissingGrant::Host { other } else { self }
    }
}

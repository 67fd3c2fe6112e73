//! What an app grants its leaf and its split, as plain data. What is not granted here is denied.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use frond_tls::Trust;

#[cfg(test)]
mod tests;

/// The ports of a grant that names none: those of `http` and `https`.
const WEB: [u16; 2] = [80, 443];

/// What a leaf or a split may use beyond computing. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Folders that may be read.
    pub directories: Vec<Directory>,
    /// Environment variables, with the values that the guest sees.
    pub env: Vec<(String, String)>,
    /// What `wasi:config/store` gives.
    pub config: BTreeMap<String, String>,
    /// Where HTTP requests may go. Of those that fit a request, the first decides.
    pub http: Vec<HttpGrant>,
    /// Whose certificates prove that a host is who is asked.
    pub trust: Trust,
    /// What goes wrong on purpose: for tests of a plugin.
    pub faults: InjectedFaults,
}

/// A folder that may be read, and not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub host: PathBuf,
    /// Where the guest finds it, such as `/data`.
    pub guest: String,
}

/// Where HTTP requests may go, and what they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// The host.
    pub host: HostPattern,
    /// Its ports.
    pub ports: Ports,
    /// Methods, as they are sent: `GET`.
    pub methods: Vec<String>,
    /// How long one request may take, its answer's body included; `None` leaves it to the call's deadline.
    pub time: Option<Duration>,
    /// The most bytes of an answer's body, and of a request's.
    pub body: u64,
    /// Whether a name may resolve to addresses that are not public.
    pub private: bool,
}

/// Hosts of HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This name.
    Name(String),
    /// Every name that ends in a dot and this one: `*.example.com`.
    Below(String),
    /// This address, written as one. That it is private is then no secret.
    Address(IpAddr),
}

/// Ports of HTTP requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// 80 and 443.
    Web,
    /// This one.
    One(u16),
    /// Every port.
    Any,
}

/// What goes wrong on purpose. Nothing, unless a test asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InjectedFaults {
    /// Every HTTP request is refused, whatever is granted.
    pub deny_http: bool,
    /// Requests to the host of this name wait so long before they leave this process.
    pub slow_host: Option<(String, Duration)>,
    /// Names that resolve to these addresses, instead of what the system says. The addresses are checked as any.
    pub resolve: BTreeMap<String, Vec<IpAddr>>,
}

impl Grants {
    /// True when nothing is granted, and nothing shall go wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// The host that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In lower case, and without a final dot.
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// Reads the host of a URI: a name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) fn read(host: &str) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match bare.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Name(normal(host)),
        }
    }

    /// True when it goes by this name.
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

/// What one call has been granted.
#[derive(Clone, Debug)]
pub(crate) enum CallGrants {
    /// A merge has nothing, and cannot be given anything.
    Never,
    /// Nothing, for want of a grant. Holds no grants, so that calls need not count who does.
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

    /// What to do about a refusal: `hint`, where anything can be done.
    pub(crate) fn remedy(&self, hint: String) -> String {
        match self {
            Self::Never => "a merge is never granted anything: let the leaf ask".to_owned(),
            Self::Nothing | Self::These(_) => hint,
        }
    }

    /// The grant that a request falls under.
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

/// What a request would need: of the grants that come near it, the nearest.
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

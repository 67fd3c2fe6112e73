//! What an app grants its leaf and its split beyond computing. A merge is never granted anything.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The longest name of a host, in bytes (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// The longest part of a name between dots, in bytes.
const MAX_LABEL: usize = 63;

/// What is granted; the default is nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grants {
    /// Folders that may be read.
    pub directories: Vec<Directory>,
    /// Environment variables of this process that the guest sees, by name.
    pub env: Vec<String>,
    /// What `wasi:config/store` gives.
    pub config: BTreeMap<String, String>,
    /// Where HTTP requests may go. Of those that fit a request, the first decides.
    pub http: Vec<HttpGrant>,
}

impl Grants {
    /// True when all that `other` grants is granted here, too. The values of `wasi:config` are no rights.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        let Self { directories, env, config: _, http } = other;
        directories.iter().all(|one| self.directories.contains(one))
            && env.iter().all(|one| self.env.contains(one))
            && http.iter().all(|one| self.http.contains(one))
    }
}

/// A folder that may be read, and not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    /// Where it is, usable from the current folder.
    pub host: PathBuf,
    /// Where the guest finds it: an absolute path.
    pub guest: String,
}

/// Where HTTP requests may go, and what they may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpGrant {
    /// The host.
    pub host: HostPattern,
    /// Its ports.
    pub ports: Ports,
    /// Methods, as they are sent.
    pub methods: Vec<String>,
    /// How long one request may take; `None` leaves it to the call's deadline.
    pub time: Option<Duration>,
    /// The most bytes of an answer's body, and of a request's.
    pub body: u64,
    /// Whether a name may resolve to addresses that are not public.
    pub private: bool,
}

/// Hosts of HTTP requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// This name, in lower case.
    Name(String),
    /// Every name below this one: `*.example.com`.
    Below(String),
    /// This address.
    Address(IpAddr),
}

/// Ports of HTTP requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ports {
    /// 80 and 443.
    Web,
    /// This one.
    One(u16),
    /// Every port.
    Any,
}

/// A host and its ports, as `grants.http.host` has them: `api.example.com`, `*.example.com:8080`, `[::1]:*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hosts {
    /// The host.
    pub host: HostPattern,
    /// Its ports.
    pub ports: Ports,
}

/// Why a text names no hosts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostError {
    /// A URL, or part of one.
    #[error("`{0}` is more than a host\n(write only the host and, where it is not 80 or 443, the port)")]
    NotOnlyAHost(String),
    /// Neither a name nor an address.
    #[error("`{0}` is not a host\n(write a name, `*.` and a name, or an IP address: api.example.com)")]
    NotAHost(String),
    /// What is not a port follows the colon.
    #[error("`{0}` is not a port\n(write a number from 1 to 65535, or `*` for every port)")]
    NotAPort(String),
    /// Looks like an address without being one.
    #[error("`{0}` is not an IP address\n(write all four numbers: 127.0.0.1)")]
    NotAnAddress(String),
    /// Every name, or every one of a top-level domain.
    #[error("`{0}` would be most of the world\n(name a host, or at least a domain: *.example.com)")]
    TooWide(String),
}

impl FromStr for Hosts {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        // An address with colons of its own takes a port only in brackets.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self { host: HostPattern::Address(address.into()), ports: Ports::Web });
        }
        if text.contains(['/', '@', '?', '#']) {
            return Err(HostError::NotOnlyAHost(text.to_owned()));
        }
        let (host, ports) = match text.rsplit_once(':') {
            // The last colon of a bare IPv6 address in brackets is one of its own.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse()?),
            _ => (text, Ports::Web),
        };
        Ok(Self { host: host.parse()?, ports })
    }
}

impl FromStr for Ports {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            _ if text == "*" => Ok(Self::Any),
            Ok(port @ 1..) if digits => Ok(Self::One(port)),
            _ => Err(HostError::NotAPort(text.to_owned())),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let not_a_host = || HostError::NotAHost(text.to_owned());
        if let Some(bracketed) = text.strip_prefix('[') {
            let address = bracketed.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
            return address.map(|address| Self::Address(address.into())).ok_or_else(not_a_host);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return match name(domain) {
                Some(_) if !domain.trim_end_matches('.').contains('.') => Err(HostError::TooWide(text.to_owned())),
                Some(_) if ends_in_number(domain) => Err(not_a_host()),
                Some(name) => Ok(Self::Below(name)),
                None => Err(not_a_host()),
            };
        }
        match name(text) {
            _ if text == "*" => Err(HostError::TooWide(text.to_owned())),
            // The system would take 127.1 and 2130706433 for addresses.
            Some(_) if ends_in_number(text) => Err(HostError::NotAnAddress(text.to_owned())),
            Some(name) => Ok(Self::Name(name)),
            None => Err(not_a_host()),
        }
    }
}

/// A host's name in lower case and without its final dot, if it is one. Underscores are in names that work.
fn name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        letters && !label.is_empty() && label.len() <= MAX_LABEL && !label.starts_with('-') && !label.ends_with('-')
    };
    (name.len() <= MAX_NAME && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// True for what some resolvers read as an IPv4 address: the last part is a number, decimal or hexadecimal.
fn ends_in_number(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::Below(name) => write!(f, "*.{name}")?,
            HostPattern::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            HostPattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        match self.ports {
            Ports::Web => Ok(()),
            Ports::One(port) => write!(f, ":{port}"),
            Ports::Any => f.write_str(":*"),
        }
    }
}

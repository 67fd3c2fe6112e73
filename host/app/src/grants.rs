//! Capabilities that an app grants its leaf and its split beyond computing. A merge is never
//! granted anything.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use frond_root::quote::clipped;

#[cfg(test)]
mod tests;

/// Longest host name, in bytes (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// Longest label of a host name, in bytes.
const MAX_LABEL: usize = 63;

/// Granted capabilities; by default none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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

/// A folder that the guest may read but not write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    /// Path of the folder on the host, usable from the current folder.
    pub host: PathBuf,
    /// Absolute path of the folder in the guest.
    pub guest: String,
}

/// Destination of HTTP requests, with the limits of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpGrant {
    /// Hosts that requests may go to.
    pub host: HostPattern,
    /// Ports that requests may go to.
    pub ports: Ports,
    /// Allowed methods, in the spelling of the request line.
    pub methods: Vec<String>,
    /// Time limit of one request; `None` leaves it to the call's deadline.
    pub time: Option<Duration>,
    /// Largest body of a request or of a response, in bytes.
    pub body: u64,
    /// True if host names may resolve to addresses that are not public (disables the SSRF guard).
    pub private: bool,
}

/// Host part of a grant for HTTP requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// Exactly this name, in lower case.
    Name(String),
    /// Every name below this one: `*.example.com`.
    Below(String),
    /// Exactly this address.
    Address(IpAddr),
}

/// Port part of a grant for HTTP requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ports {
    /// Ports 80 and 443.
    Web,
    /// Exactly this port.
    One(u16),
    /// Every port.
    Any,
}

/// A host and its ports, in the syntax of `grants.http.host`: `api.example.com`,
/// `*.example.com:8080`, `[::1]:*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hosts {
    /// The host.
    pub host: HostPattern,
    /// The host's ports.
    pub ports: Ports,
}

/// Reason why a text does not parse as [`Hosts`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostError {
    /// The text is a URL, or part of one.
    #[error("`{}` is more than a host\n(write only the host and, where it is not 80 or 443, the port)", clipped(.0))]
    NotOnlyAHost(String),
    /// The text is neither a name nor an address.
    #[error("`{}` is not a host\n(write a name, `*.` and a name, or an IP address: api.example.com)", clipped(.0))]
    NotAHost(String),
    /// The text after the colon is not a port.
    #[error("`{}` is not a port\n(write a number from 1 to 65535, or `*` for every port)", clipped(.0))]
    NotAPort(String),
    /// The text resembles an IP address but is not one.
    #[error("`{}` is not an IP address\n(write all four numbers: 127.0.0.1)", clipped(.0))]
    NotAnAddress(String),
    /// The pattern matches every name, or every name of a top-level domain.
    #[error("`{}` matches too many hosts\n(name a host, or at least a domain: *.example.com)", clipped(.0))]
    TooWide(String),
}

impl FromStr for Hosts {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        // An IPv6 address contains colons, so it takes a port only in brackets.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self { host: HostPattern::Address(address.into()), ports: Ports::Web });
        }
        if text.contains(['/', '@', '?', '#']) {
            return Err(HostError::NotOnlyAHost(text.to_owned()));
        }
        let (host, ports) = match text.rsplit_once(':') {
            // A port that ends in `]` is the tail of a bracketed IPv6 address without a port.
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
            // Many resolvers would read 127.1 and 2130706433 as addresses.
            Some(_) if ends_in_number(text) => Err(HostError::NotAnAddress(text.to_owned())),
            Some(name) => Ok(Self::Name(name)),
            None => Err(not_a_host()),
        }
    }
}

/// Returns a valid host name in lower case and without its final dot. Underscores are accepted,
/// since such names exist in practice.
fn name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        letters && !label.is_empty() && label.len() <= MAX_LABEL && !label.starts_with('-') && !label.ends_with('-')
    };
    (name.len() <= MAX_NAME && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// True if some resolvers would read the name as an IPv4 address: its last label is a decimal or
/// hexadecimal number.
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

//! Parser of the hosts that an app grants for HTTP requests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use frond_root::call::{HostPattern, Ports};
use frond_root::quote::clipped;

#[cfg(test)]
mod tests;

/// Longest host name, in bytes (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// Longest label of a host name, in bytes.
const MAX_LABEL: usize = 63;

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
            Some((host, port)) if !port.ends_with(']') => (host, ports(port)?),
            _ => (text, Ports::Web),
        };
        Ok(Self { host: pattern(host)?, ports })
    }
}

fn ports(text: &str) -> Result<Ports, HostError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        _ if text == "*" => Ok(Ports::Any),
        Ok(port @ 1..) if digits => Ok(Ports::One(port)),
        _ => Err(HostError::NotAPort(text.to_owned())),
    }
}

fn pattern(text: &str) -> Result<HostPattern, HostError> {
    let not_a_host = || HostError::NotAHost(text.to_owned());
    if let Some(bracketed) = text.strip_prefix('[') {
        let address = bracketed.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address.map(|address| HostPattern::Address(address.into())).ok_or_else(not_a_host);
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(HostPattern::Address(address.into()));
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return match name(domain) {
            Some(_) if !domain.trim_end_matches('.').contains('.') => Err(HostError::TooWide(text.to_owned())),
            Some(_) if ends_in_number(domain) => Err(not_a_host()),
            Some(name) => Ok(HostPattern::Below(name)),
            None => Err(not_a_host()),
        };
    }
    match name(text) {
        _ if text == "*" => Err(HostError::TooWide(text.to_owned())),
        // Many resolvers would read 127.1 and 2130706433 as addresses.
        Some(_) if ends_in_number(text) => Err(HostError::NotAnAddress(text.to_owned())),
        Some(name) => Ok(HostPattern::Name(name)),
        None => Err(not_a_host()),
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

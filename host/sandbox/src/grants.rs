//! Grants of an app to its leaf and its split, as a call uses them. Everything else is denied.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use frond_root::call::{Grants, HostPattern, HttpGrant};
pub use frond_tls::Trust;

#[cfg(test)]
mod tests;

/// Grants of one app's leaf and split, with all that their use takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestGrants {
    /// Grants of the app.
    pub app: Grants,
    /// Values of the granted environment variables, with their names.
    pub env: Vec<(String, String)>,
    /// Certificates that TLS trusts as roots.
    pub trust: Trust,
    /// Faults to inject, for tests of a plugin.
    pub faults: InjectedFaults,
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

impl From<Grants> for GuestGrants {
    /// Takes the grants as they are: without variables, roots and faults.
    fn from(app: Grants) -> Self {
        Self { app, ..Self::default() }
    }
}

impl GuestGrants {
    /// Returns true if there are no grants and no faults.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { app, env, trust, faults } = self;
        // A granted variable that is not set grants nothing: `env` has those that are.
        let Grants { directories, env: _, config, http } = app;
        let is_closed = directories.is_empty() && config.is_empty() && http.is_empty() && env.is_empty();
        is_closed && *trust == Trust::default() && *faults == InjectedFaults::default()
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

    /// Returns true if requests to the target match `pattern`.
    fn fits(&self, pattern: &HostPattern) -> bool {
        match (pattern, self) {
            (HostPattern::Name(pattern), Self::Name(name)) => normal(pattern) == *name,
            (HostPattern::Below(pattern), Self::Name(name)) => name
                .strip_suffix(normal(pattern).as_str())
                .and_then(|above| above.strip_suffix('.'))
                .is_some_and(|above| !above.is_empty()),
            (HostPattern::Address(granted), Self::Address(address)) => granted == address,
            _ => false,
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

/// Grants of one call.
#[derive(Clone, Debug)]
pub(crate) enum CallGrants {
    /// No grants: a merge cannot be granted anything.
    Never,
    /// No grants yet. Holds no `Arc`, so that calls do not contend for its reference count.
    Nothing,
    These(Arc<GuestGrants>),
}

impl From<&Arc<GuestGrants>> for CallGrants {
    fn from(grants: &Arc<GuestGrants>) -> Self {
        if grants.is_empty() { Self::Nothing } else { Self::These(grants.clone()) }
    }
}

impl CallGrants {
    pub(crate) fn get(&self) -> Option<&GuestGrants> {
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
        let grants = self.get().map_or(&[][..], |grants| &grants.app.http);
        let mut lacking = MissingGrant::Host;
        for grant in grants.iter().filter(|grant| target.fits(&grant.host)) {
            if !grant.ports.include(port) {
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

//! Address of a database: its URL, completed like in libpq. Values missing from the URL come from
//! the service that it or `PGSERVICE` names, then from environment variables (`PGHOST` and so on);
//! a missing password is finally looked up in `~/.pgpass` (`PGPASSFILE`). The existing crates for
//! this are unmaintained, do not support `sslmode`, and prefer the environment to the service.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;

use crate::store::StoreResult;
use crate::store::location::{DatabaseUrl, Environment, expand};

use super::tls::{Tls, TlsMode};

mod options;
mod passfile;
mod service;
#[cfg(test)]
mod tests;

use options::{Options, home, refused};

/// Environment variables and the options that they set.
const VARIABLES: [(&str, &str); 18] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
];

/// Options of libpq that have no effect here.
const IGNORED: [&str; 10] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "gssdelegation",
    "krbsrvname",
    "sslcompression",
    "sslsni",
    "sslcertmode",
    "replication",
];

/// Folders of a server's socket, in the order of the look-up.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// TCP keepalive probes of an idle connection, in seconds: time before the first, interval, and
/// number before the connection is given up. A URL may override them.
const KEEPALIVES: [(&str, &str); 3] =
    [("keepalives_idle", "15"), ("keepalives_interval", "5"), ("keepalives_retries", "3")];
/// Time for which sent data may stay unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Address of a database.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl Target {
    /// Completes a URL from the service, the environment and the password file.
    pub(super) fn new(url: &DatabaseUrl, environment: Environment<'_>) -> StoreResult<Self> {
        let mut options = parse(&url.0, environment)?;
        let service = options.remove("service").or_else(|| environment("PGSERVICE"));
        if let Some(service) = service {
            add(&mut options, service::read(&service, environment)?);
        }
        let variables = VARIABLES.iter().filter_map(|(name, option)| Some(((*option).to_owned(), environment(name)?)));
        add(&mut options, variables.collect());
        complete(&mut options, environment)?;
        let tls = tls(&mut options, environment)?;
        Ok(Self { config: config(options, &tls)?, tls })
    }
}

/// Adds options that are not set yet.
fn add(options: &mut Options, others: Options) {
    for (name, value) in others {
        options.entry(name).or_insert(value);
    }
}

/// Parses the options of a URL. `${NAME}` is replaced after the URL has been split, so the values
/// of variables need no escapes.
fn parse(url: &str, environment: Environment<'_>) -> StoreResult<Options> {
    let decode = |text: &str| -> StoreResult<String> {
        let decoded = percent_decode_str(text).decode_utf8();
        let decoded = decoded.map_err(|_| refused("`jobs.store` has an escape that is no UTF-8".to_owned()))?;
        expand(&decoded, environment).map_err(|error| refused(error.to_string()))
    };
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) =
        authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let mut options = Options::new();
    let mut set = |name: &str, value: &str| -> StoreResult<()> {
        if !value.is_empty() {
            options.insert(name.to_owned(), decode(value)?);
        }
        Ok(())
    };
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        set("user", user)?;
        set("password", password)?;
    }
    let (hosts, ports) = hosts_of(hosts);
    set("host", &hosts)?;
    set("port", &ports)?;
    set("dbname", database)?;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(refused("`jobs.store` has a parameter without a value\n(write `?NAME=VALUE`)".to_owned()));
        };
        set(name, value)?;
    }
    Ok(options)
}

/// Splits an authority into lists of hosts and ports; without a single port, the second list is
/// empty.
fn hosts_of(authority: &str) -> (String, String) {
    let split = |one: &str| -> (String, String) {
        match one.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host.to_owned(), port.trim_start_matches(':').to_owned()),
            None => {
                one.split_once(':').map_or((one.to_owned(), String::new()), |(host, port)| (host.into(), port.into()))
            }
        }
    };
    let (hosts, ports): (Vec<_>, Vec<_>) = authority.split(',').map(split).unzip();
    let has_ports = ports.iter().any(|port| !port.is_empty());
    (hosts.join(","), if has_ports { ports.join(",") } else { String::new() })
}

/// Fills in the last defaults of libpq: a host, a user, a password from a file.
fn complete(options: &mut Options, environment: Environment<'_>) -> StoreResult<()> {
    if !options.contains_key("host") && !options.contains_key("hostaddr") {
        let port = options.get("port").cloned().unwrap_or_else(|| "5432".to_owned());
        let has_socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
        let host = SOCKETS.iter().find(|folder| has_socket(folder)).copied().unwrap_or("localhost");
        options.insert("host".to_owned(), host.to_owned());
    }
    if let Some(user) = environment("USER").filter(|_| !options.contains_key("user")) {
        options.insert("user".to_owned(), user);
    }
    let file = options.remove("passfile").map(PathBuf::from).or_else(|| home(environment, ".pgpass"));
    if let Some(file) = file.filter(|_| !options.contains_key("password"))
        && let Some(password) = passfile::password(&file, options)?
    {
        options.insert("password".to_owned(), password);
    }
    Ok(())
}

/// Takes the TLS options out of the options.
fn tls(options: &mut Options, environment: Environment<'_>) -> StoreResult<Tls> {
    let mode = options.remove("sslmode");
    let mode = match mode.as_deref() {
        None => TlsMode::Prefer,
        Some(mode) => TlsMode::parse(mode).ok_or_else(|| {
            let all = "disable, prefer, require, verify-ca or verify-full";
            refused(format!("`sslmode` must be {all}\n(in the URL, the service or PGSSLMODE)"))
        })?,
    };
    let mut file = |option: &str, default: &str| {
        let default = || home(environment, default).filter(|file| file.exists());
        options.remove(option).map(PathBuf::from).or_else(default)
    };
    let roots = file("sslrootcert", ".postgresql/root.crt");
    let certificate = file("sslcert", ".postgresql/postgresql.crt");
    let key = file("sslkey", ".postgresql/postgresql.key");
    Ok(Tls { mode, roots, identity: certificate.zip(key) })
}

/// Converts the options to those of tokio-postgres.
fn config(mut options: Options, tls: &Tls) -> StoreResult<Config> {
    for name in IGNORED {
        options.remove(name);
    }
    // libpq takes milliseconds, tokio-postgres a duration.
    let user_timeout = options.remove("tcp_user_timeout").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    if let Some(count) = options.remove("keepalives_count") {
        options.insert("keepalives_retries".to_owned(), count);
    }
    add(&mut options, KEEPALIVES.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
    let words: Vec<_> = options.iter().map(|(name, value)| format!("{name}='{}'", quoted(value))).collect();
    // The error names the option and never its value.
    let explain = |error: tokio_postgres::Error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        refused(format!("`jobs.store` is no URL of PostgreSQL: {cause}\n(see host/docs/jobs.md for what it may say)"))
    };
    let mut config = Config::from_str(&words.join(" ")).map_err(explain)?;
    config.tcp_user_timeout(user_timeout.unwrap_or(USER_TIMEOUT));
    config.ssl_mode(tls.mode.of(config.get_hosts()));
    Ok(config)
}

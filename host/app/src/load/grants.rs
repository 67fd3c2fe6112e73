//! Resolves `[grants]`: checks every host, path and name, and that every folder exists.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use frond_root::call::{Directory, Grants, HttpGrant};
use frond_root::quote::clipped;
use serde_spanned::Spanned;

use crate::error::{AppError, Complaint};
use crate::hosts::Hosts;
use crate::manifest::{DirectoryTable, GrantsTable, HttpTable, MAX_ENTRIES, Size, Text, Time};
use crate::paths::under;

/// Default size limit of a body, in bytes.
pub(crate) const DEFAULT_BODY: u64 = 4 << 20;
/// Methods of a grant that lists none: the safe ones.
const DEFAULT_METHODS: [&str; 2] = ["GET", "HEAD"];

pub(super) fn resolve(text: &Text, dir: &Path, table: GrantsTable) -> Result<Grants, AppError> {
    few_enough(text, &table)?;
    let mut directories: Vec<Directory> = Vec::new();
    for (at, one) in table.directories.iter().enumerate() {
        let key = format!("grants.directories[{at}]");
        let resolved = directory(text, dir, &key, one)?;
        if directories.iter().any(|other| other.guest == resolved.guest) {
            let wrong = format!("the guest path `{}` is already granted", clipped(&resolved.guest));
            return Err(text.refuse(one.guest.span().start, format!("{key}.guest"), wrong, "give each folder its own"));
        }
        directories.push(resolved);
    }
    let http = table.http.iter().enumerate();
    Ok(Grants {
        directories,
        env: env(text, table.env)?,
        config: config(text, table.config)?,
        http: http.map(|(at, one)| Request { text, at }.resolve(one)).collect::<Result<_, _>>()?,
    })
}

fn few_enough(text: &Text, table: &GrantsTable) -> Result<(), AppError> {
    let lists = [
        ("grants.directories", table.directories.get(MAX_ENTRIES).map(|one| one.host.span().start)),
        ("grants.env", table.env.get(MAX_ENTRIES).map(|one| one.span().start)),
        ("grants.config", table.config.keys().nth(MAX_ENTRIES).map(|one| one.span().start)),
        ("grants.http", table.http.get(MAX_ENTRIES).map(|one| one.host.span().start)),
    ];
    lists.into_iter().try_for_each(|(key, beyond)| text.few_enough(key, beyond, MAX_ENTRIES, ""))
}

fn directory(text: &Text, dir: &Path, key: &str, one: &DirectoryTable) -> Result<Directory, AppError> {
    let guest = one.guest.get_ref();
    let inside = guest.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    if !inside.is_some_and(|inside| inside.is_empty() || inside.split('/').all(is_part)) {
        let wrong = format!("`{}` is not an absolute path without `.` and `..`", clipped(guest).escape_debug());
        return Err(text.refuse(one.guest.span().start, format!("{key}.guest"), wrong, "such as \"/data\""));
    }
    let offset = one.host.span().start;
    let key = format!("{key}.host");
    if one.host.get_ref().trim().is_empty() {
        let hint = "write the folder's path, relative to frond.toml";
        return Err(text.refuse(offset, key, "the path is empty", hint));
    }
    let host = under(dir, one.host.get_ref());
    let complain = |wrong: &str, hint, cause| AppError::Manifest {
        at: text.place(offset, key.clone()),
        complaint: Complaint::new(format!("{wrong} `{}`", host.display()), hint),
        cause,
    };
    match std::fs::metadata(&host) {
        Ok(found) if found.is_dir() => Ok(Directory { host, guest: guest.clone() }),
        Ok(_) => Err(complain("not a folder:", "grant the folder that the file is in", None)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            Err(complain("there is no folder", "make it, or correct the path, which is relative to frond.toml", None))
        }
        Err(cause) => Err(complain("cannot read", "", Some(cause))),
    }
}

fn env(text: &Text, names: Vec<Spanned<String>>) -> Result<Vec<String>, AppError> {
    let checked = names.into_iter().enumerate().map(|(at, name)| {
        let key = format!("grants.env[{at}]");
        if name.get_ref().is_empty() || name.get_ref().contains(|c: char| c == '=' || c.is_control()) {
            let wrong =
                format!("`{}` is not the name of an environment variable", clipped(name.get_ref()).escape_debug());
            let hint = "write only its name, such as \"LANG\"; the value is the environment's";
            return Err(text.refuse(name.span().start, key, wrong, hint));
        }
        Ok(name.into_inner())
    });
    checked.collect()
}

fn config(text: &Text, values: BTreeMap<Spanned<String>, String>) -> Result<BTreeMap<String, String>, AppError> {
    let checked = values.into_iter().map(|(key, value)| {
        if key.get_ref().is_empty() {
            return Err(text.refuse(key.span().start, "grants.config", "the key is empty", ""));
        }
        Ok((key.into_inner(), value))
    });
    checked.collect()
}

/// Resolver of one grant of HTTP requests, named by its index `at` in the list.
struct Request<'a> {
    text: &'a Text,
    at: usize,
}

impl Request<'_> {
    fn resolve(&self, one: &HttpTable) -> Result<HttpGrant, AppError> {
        let parsed: Result<Hosts, _> = one.host.get_ref().parse();
        let hosts = parsed.map_err(|error| {
            let error = error.to_string();
            let (wrong, hint) = error.split_once("\n(").unwrap_or((&error, ""));
            self.refuse("host", one.host.span().start, wrong, hint.trim_end_matches(')'))
        })?;
        Ok(HttpGrant {
            host: hosts.host,
            ports: hosts.ports,
            methods: self.methods(one.methods.as_ref())?,
            time: self.time(one.time.as_ref())?,
            body: self.body(one.body.as_ref())?,
            private: one.private,
        })
    }

    fn refuse(&self, name: &str, offset: usize, wrong: impl Into<String>, hint: &str) -> AppError {
        self.text.refuse(offset, format!("grants.http[{}].{name}", self.at), wrong, hint)
    }

    fn methods(&self, written: Option<&Spanned<Vec<Spanned<String>>>>) -> Result<Vec<String>, AppError> {
        let Some(written) = written else {
            return Ok(DEFAULT_METHODS.map(str::to_owned).to_vec());
        };
        if written.get_ref().is_empty() {
            let hint = "leave the key out for \"GET\" and \"HEAD\"";
            return Err(self.refuse("methods", written.span().start, "the list is empty", hint));
        }
        for method in written.get_ref() {
            let name = method.get_ref();
            let offset = method.span().start;
            let hint = if name == "CONNECT" {
                "a CONNECT tunnel could reach any host"
            } else if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
                "methods are words in capitals, such as \"GET\" or \"POST\""
            } else {
                continue;
            };
            let wrong = format!("`{}` is not a method that can be granted", clipped(name).escape_debug());
            return Err(self.refuse("methods", offset, wrong, hint));
        }
        Ok(written.get_ref().iter().map(|method| method.get_ref().clone()).collect())
    }

    fn time(&self, written: Option<&Spanned<Time>>) -> Result<Option<Duration>, AppError> {
        match written {
            Some(time) if time.get_ref().0.is_zero() => {
                let hint = "leave the key out for no limit but the deadline";
                Err(self.refuse("time", time.span().start, "the time must be above 0", hint))
            }
            _ => Ok(written.map(|time| time.get_ref().0)),
        }
    }

    fn body(&self, written: Option<&Spanned<Size>>) -> Result<u64, AppError> {
        match written {
            Some(size) if size.get_ref().0 == 0 => {
                let hint = "leave the key out for 4 MiB";
                Err(self.refuse("body", size.span().start, "a limit of 0 allows no answer with a body", hint))
            }
            _ => Ok(written.map_or(DEFAULT_BODY, |size| size.get_ref().0)),
        }
    }
}

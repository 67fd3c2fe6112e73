//! Services: named options in `~/.pg_service.conf` (`PGSERVICEFILE`) or in `pg_service.conf` in
//! `PGSYSCONFDIR`.

use std::path::PathBuf;

use crate::store::StoreResult;
use crate::store::location::Environment;

use super::options::{Options, home, refused};

/// Reads the options of a service.
pub(super) fn read(name: &str, environment: Environment<'_>) -> StoreResult<Options> {
    let own = environment("PGSERVICEFILE").map(PathBuf::from).or_else(|| home(environment, ".pg_service.conf"));
    let systems = environment("PGSYSCONFDIR").map_or_else(|| PathBuf::from("/etc/postgresql-common"), PathBuf::from);
    for file in own.into_iter().chain([systems.join("pg_service.conf")]) {
        let text = match frond_files::read_text(&file, frond_files::SETTINGS) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(refused(format!("cannot read the service file `{}`: {error}", file.display()))),
        };
        if let Some(options) = find(&text, name) {
            return options.map_err(|line| refused(format!("{}:{line}: a line must be `NAME=VALUE`", file.display())));
        }
    }
    Err(refused(format!(
        "there is no service `{name}`\n(it is looked for in PGSERVICEFILE, ~/.pg_service.conf and pg_service.conf in PGSYSCONFDIR)"
    )))
}

/// Returns the options of the section `[name]`, or the number of an invalid line; `None` without
/// that section.
fn find(text: &str, name: &str) -> Option<Result<Options, usize>> {
    let mut found: Option<Options> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            found = section.strip_suffix(']').filter(|section| *section == name).map(|_| Options::new());
        } else if let Some(options) = &mut found {
            match line.split_once('=') {
                Some((name, value)) => {
                    options.entry(name.to_owned()).or_insert_with(|| value.to_owned());
                }
                None => return Some(Err(number + 1)),
            }
        }
    }
    found.map(Ok)
}

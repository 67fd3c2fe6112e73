//! Password file with a line per password: `HOST:PORT:DATABASE:USER:PASSWORD`, where `*` matches
//! any value.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::store::StoreResult;

use super::options::{Options, refused};

/// Returns the password of the first matching line. `None` if there is no such file; a file that
/// others can read is ignored with a warning.
pub(super) fn password(file: &Path, options: &Options) -> StoreResult<Option<String>> {
    let cannot = |error| refused(format!("cannot read the password file `{}`: {error}", file.display()));
    let about = match fs::metadata(file) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    if about.is_file() && about.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            "the password file `{}` is not used: others can read it (chmod 600 would keep them out)",
            file.display()
        );
        return Ok(None);
    }
    Ok(find(&frond_files::read_text(file, frond_files::SETTINGS).map_err(cannot)?, options))
}

fn find(text: &str, options: &Options) -> Option<String> {
    let option = |name: &str| options.get(name).map(String::as_str);
    let host = option("host").or(option("hostaddr")).unwrap_or("localhost");
    let hosts = host.split(',').map(|host| if host.starts_with('/') { "localhost" } else { host });
    let hosts: Vec<_> = hosts.collect();
    let ports: Vec<_> = option("port").unwrap_or("5432").split(',').collect();
    let user = option("user").unwrap_or("");
    let database = option("dbname").unwrap_or(user);
    let fits = |pattern: &str, value: &str| pattern == "*" || pattern == value;
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [line_host, line_port, line_database, line_user, password] = fields.as_slice() else {
            return None;
        };
        let fits = hosts.iter().any(|host| fits(line_host, host))
            && ports.iter().any(|port| fits(line_port, port))
            && fits(line_database, database)
            && fits(line_user, user);
        fits.then(|| password.clone())
    })
}

/// Splits a line into fields; `\` escapes a `:` or `\`. The last field, the password, takes the
/// rest of the line.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let count = fields.len();
        let Some(field) = fields.last_mut() else { break };
        match c {
            '\\' => field.extend(chars.next()),
            ':' if count < 5 => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

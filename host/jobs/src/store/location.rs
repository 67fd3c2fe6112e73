//! Location of a store in settings: a folder, or the URL of a database. Any other text is refused,
//! without repeating it in a message, since it may contain a password.

use std::path::PathBuf;

/// Reads environment variables; tests pass a different environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a variable of this process's environment. An empty variable counts as unset.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Location of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Folder on this machine, for a store in SQLite.
    Folder(PathBuf),
    /// URL of a database, for a store in PostgreSQL; `${NAME}` in it stands for an environment
    /// variable.
    Database(DatabaseUrl),
}

/// URL of a database. `Debug` hides it, since it may contain a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub(super) String);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

/// Error for a text that is not the location of a store. The message gives the reason but not the
/// text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoLocation(String);

/// Hint on valid locations.
const RIGHT: &str = "a store of jobs is a folder, or `postgres://USER@HOST/DATABASE`";
/// Known schemes of mistyped or unsupported URLs.
const SCHEMES: [&str; 12] = [
    "postgres",
    "postgresql",
    "pg",
    "jdbc",
    "mysql",
    "mariadb",
    "sqlite",
    "sqlite3",
    "mssql",
    "mongodb",
    "redis",
    "file",
];
/// Keys of connection strings.
const WORDS: [&str; 9] = ["host", "hostaddr", "port", "dbname", "user", "password", "service", "sslmode", "options"];

impl Location {
    /// Parses the setting. A text that begins with `${NAME}` is expanded before it is classified.
    ///
    /// # Errors
    /// [`NoLocation`] for a text that is neither a path nor a URL of PostgreSQL.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, NoLocation> {
        let whole = if text.starts_with("${") { expand(text, environment)? } else { text.to_owned() };
        let refuse = |what: &str| Err(NoLocation(format!("`jobs.store` {what}\n({RIGHT})")));
        if whole.trim() != whole {
            return refuse("begins or ends with a space: remove the space");
        }
        if whole.is_empty() {
            return refuse("is empty");
        }
        if whole.chars().any(char::is_control) {
            return refuse("has a control character");
        }
        if is_database(&whole) {
            return Ok(Self::Database(DatabaseUrl(whole)));
        }
        match misfit(&whole) {
            Some(what) => refuse(&what),
            None => Ok(Self::Folder(PathBuf::from(expand(&whole, environment)?))),
        }
    }
}

/// True for a URL of PostgreSQL.
fn is_database(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// Describes a text that could be a path but is evidently meant as something else.
fn misfit(text: &str) -> Option<String> {
    let scheme = text.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    if let Some((scheme, rest)) = scheme {
        let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c)) && !scheme.is_empty();
        let known = SCHEMES.contains(&scheme.as_str());
        match scheme.as_str() {
            "postgres" | "postgresql" if rest.starts_with("//") => {
                return Some(format!("is a URL whose scheme is not in lower case: write `{scheme}://`"));
            }
            "postgres" | "postgresql" => return Some(format!("is a URL without its two slashes: write `{scheme}://`")),
            "file" => return Some("is a URL of a file: write the path itself".to_owned()),
            _ if is_scheme && (known || rest.starts_with("//")) => {
                return Some(format!("is a URL with the scheme `{scheme}`, which is no store of jobs"));
            }
            _ => {}
        }
    }
    let first = text.split(['=', ' ']).next().unwrap_or("").trim();
    if text.contains('=') && WORDS.contains(&first.to_ascii_lowercase().as_str()) {
        return Some("is a connection string of `key=value` pairs: write a URL".to_owned());
    }
    // USER:PASSWORD@HOST, which would become a folder with a password in its name.
    let head = text.split('/').next().unwrap_or("");
    let credentials = head.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'));
    credentials.then(|| "is a URL without its scheme: write `postgres://` before it".to_owned())
}

/// Replaces each `${NAME}` by the value of the variable.
pub(crate) fn expand(text: &str, environment: Environment<'_>) -> Result<String, NoLocation> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(NoLocation(
                "`jobs.store` has a `${` without its `}`\n(a variable is written `${NAME}`)".to_owned(),
            ));
        };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let value = is_name.then(|| environment(name)).flatten();
        let Some(value) = value else {
            // An invalid name may be part of a password.
            let shown = if is_name { format!("`${{{name}}}`") } else { "a variable".to_owned() };
            return Err(NoLocation(format!(
                "`jobs.store` names {shown}, which is not set\n(set it in the environment of the server)"
            )));
        };
        whole.push_str(before);
        whole.push_str(&value);
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

/// Redacts a setting for display: replaces the password in a URL by a variable to be set.
#[must_use]
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (head, query) = rest.split_once('?').map_or((rest, None), |(head, query)| (head, Some(query)));
    // Up to the last `@`, since the password may contain an unescaped one.
    let head = match head.rsplit_once('@').map(|(user, host)| (user.split_once(':'), host)) {
        Some((Some((user, password)), host)) => format!("{user}:{}@{host}", hidden(password)),
        _ => head.to_owned(),
    };
    let query = query.map_or(String::new(), |query| {
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((key, value)) if key.to_ascii_lowercase().contains("password") => format!("{key}={}", hidden(value)),
            _ => part.to_owned(),
        });
        format!("?{}", parts.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{head}{query}")
}

/// Redacts a password; the name of a variable needs no redaction.
fn hidden(password: &str) -> &str {
    let is_variable = password.starts_with("${") && password.ends_with('}') && password.matches('$').count() == 1;
    if is_variable { password } else { "${PASSWORD}" }
}

#[cfg(test)]
mod tests;

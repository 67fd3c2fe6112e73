//! Chooses the state folder if the settings name none.
//! The usual place is `.frond` in the served folder, or beside it for a link. A folder that cannot
//! be written to has its state elsewhere.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use frond_root::Digest;

/// The folder's name.
const NAME: &str = ".frond";

/// A chosen state folder.
#[derive(Clone, Debug)]
pub(crate) struct StateLocation {
    pub(crate) dir: PathBuf,
    /// Why the folder is not in the usual place.
    pub(crate) warning: Option<String>,
    /// A temporary folder, removed with the server.
    pub(crate) lent: Option<Arc<TempDir>>,
}

impl StateLocation {
    /// Chooses the folder for apps in `dir`.
    /// Errors other than missing write access are reported when the folder is opened.
    pub(crate) fn of(dir: &Path) -> Self {
        let expected = expected(dir);
        match make(&expected) {
            Err(error) if is_closed(&error) => {
                Self::elsewhere(dir, &expected, &error, homes(|name| std::env::var_os(name)))
            }
            _ => Self { warning: left_behind(dir, &expected), dir: expected, lent: None },
        }
    }

    fn elsewhere(dir: &Path, expected: &Path, error: &io::Error, homes: impl Iterator<Item = PathBuf>) -> Self {
        let name = format!("{}-{}", stem(dir), digest(dir));
        let warn = |found: &Path, until: &str| {
            format!(
                "`{}` cannot be written to ({error}): uploads, releases and jobs are kept in `{}`{until}\n\
                 (set `state` in the settings to name another folder)",
                expected.display(),
                found.display()
            )
        };
        if let Some(found) = homes.map(|home| home.join("frond").join(&name)).find(|found| make(found).is_ok()) {
            return Self { warning: Some(warn(&found, "")), dir: found, lent: None };
        }
        match tempfile::Builder::new().prefix("frond-state-").tempdir() {
            Ok(lent) => {
                let found = lent.path().to_path_buf();
                let warning = Some(warn(&found, ", and only until the server ends"));
                Self { warning, dir: found, lent: Some(Arc::new(lent)) }
            }
            // Opening it will report the error.
            Err(_) => Self { dir: expected.to_path_buf(), warning: None, lent: None },
        }
    }
}

/// The usual place. For a link, it is beside the link, since the next release replaces the target.
fn expected(dir: &Path) -> PathBuf {
    let dir: PathBuf = dir.components().collect();
    match dir.parent() {
        Some(parent) if dir.is_symlink() => parent.join(NAME),
        _ => dir.join(NAME),
    }
}

/// A warning if an earlier Frond has put its state behind a link.
fn left_behind(dir: &Path, expected: &Path) -> Option<String> {
    let inside = dir.join(NAME);
    (inside != *expected && inside.join("lock").exists()).then(|| {
        format!(
            "`{}` is no longer used, as `{}` is a link that may be switched: uploads, releases and jobs are kept in `{}`\n\
             (stop the server and move the folder there to keep what is in it)",
            inside.display(),
            dir.display(),
            expected.display()
        )
    })
}

/// Folders for the state of this user's programs.
fn homes(env: impl Fn(&str) -> Option<OsString>) -> impl Iterator<Item = PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let homes = [set("XDG_STATE_HOME"), set("HOME").map(|home| home.join(".local/state"))];
    homes.into_iter().flatten().filter(|home| home.is_absolute())
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

fn stem(dir: &Path) -> String {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or("apps");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().take(40).map(plain).collect()
}

fn digest(dir: &Path) -> String {
    let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let digest = Digest::of(path.as_os_str().as_encoded_bytes()).to_string();
    digest.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_state_of_a_link_is_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("rel/1/.frond")).unwrap();
        symlink("rel/1", dir.path().join("current")).unwrap();
        let place = StateLocation::of(&dir.path().join("current/"));
        assert_eq!((place.dir, place.warning), (dir.path().join(".frond"), None));
        assert_eq!(StateLocation::of(&dir.path().join("rel/1")).dir, dir.path().join("rel/1/.frond"));
        fs::write(dir.path().join("rel/1/.frond/lock"), "").unwrap();
        assert!(StateLocation::of(&dir.path().join("current")).warning.unwrap().contains("is no longer used"));
    }

    #[test]
    fn what_cannot_be_written_to_has_its_state_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let apps = Path::new("/srv/my apps");
        let expected = Path::new("/srv/my apps/.frond");
        let error = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        assert!(is_closed(&error));
        let at = |homes: Vec<PathBuf>| StateLocation::elsewhere(apps, expected, &error, homes.into_iter());
        let place = at(vec![PathBuf::from("/proc/1"), home.path().to_path_buf()]);
        assert!(place.dir.starts_with(home.path().join("frond")) && place.dir.is_dir(), "{place:?}");
        assert_eq!(at(vec![home.path().to_path_buf()]).dir, place.dir, "the next server finds it again");
        let lent = at(Vec::new());
        assert!(lent.warning.unwrap().contains("only until the server ends"));
        assert!(lent.dir.is_dir() && lent.lent.is_some());
    }

    #[test]
    fn homes_are_absolute() {
        let env = |name: &str| Some(OsString::from(if name == "HOME" { "/srv/ann" } else { "state" }));
        assert_eq!(homes(env).collect::<Vec<_>>(), [Path::new("/srv/ann/.local/state")]);
    }
}

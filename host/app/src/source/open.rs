//! Opens what may be anything: never waits for a pipe or a device, and reads files that do not tell their size.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;

use super::stamp::{Identity, Stamp};
use crate::size::show_size;

/// The magic number of sysfs, whose files all say that they have a page: `linux/magic.h`.
const SYSFS: u64 = 0x6265_6572;

/// A file that can be a partition, or several.
#[derive(Debug)]
pub(super) enum Input {
    /// A file that can be opened again and read in pieces.
    File(Stamp, Identity),
    /// The content of a file that has no size before it is read, such as those of `/proc`.
    Bytes(Bytes, Identity),
}

/// Why a file could not be planned.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is not a regular file but this, and was not opened: that could have an effect, or wait for ever.
    Special(&'static str),
    /// It has no size of its own, and more bytes than may be held.
    Endless(u64),
    /// The system's reason, and the size if that is known.
    Io(io::Error, u64),
}

/// Looks at a file: what cannot be read is known before anything runs. `is_regular` when its folder says so already;
/// `most` bytes are held of a file that does not tell its size.
pub(super) fn look(path: &Path, is_regular: bool, most: u64, now: SystemTime) -> Result<Input, Problem> {
    let mut size = 0;
    if !is_regular {
        let found = fs::metadata(path).map_err(|error| Problem::Io(error, 0))?;
        regular(&found)?;
        size = found.size();
    }
    let file = frond_files::open_any(path).map_err(|error| Problem::Io(error, size.max(size_of(path))))?;
    let found = file.metadata().map_err(|error| Problem::Io(error, size))?;
    regular(&found)?;
    let failed = |error| Problem::Io(error, found.size());
    let identity = Identity::of(&found);
    if !tells_its_size(&found, &file) {
        let made = read_all(&file, most).map_err(failed)?.ok_or(Problem::Endless(most))?;
        if found.size() > 0 || !made.is_empty() {
            return Ok(Input::Bytes(made, identity));
        }
    }
    Ok(Input::File(Stamp::of(&found, &file, now).map_err(failed)?, identity))
}

fn regular(found: &Metadata) -> Result<(), Problem> {
    if found.is_file() { Ok(()) } else { Err(Problem::Special(frond_files::kind(found.file_type()))) }
}

fn size_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.size())
}

/// False for a file whose content is made as it is read. Only what says that it is empty, or that it takes no room, is
/// looked at more closely.
fn tells_its_size(found: &Metadata, file: &File) -> bool {
    let on_sysfs = || rustix::fs::fstatfs(file).is_ok_and(|system| u64::try_from(system.f_type) == Ok(SYSFS));
    found.size() > 0 && (found.blocks() > 0 || !on_sysfs())
}

/// All of a file, or nothing if it has more than `most` bytes.
fn read_all(file: &File, most: u64) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then(|| Bytes::from(bytes)))
}

impl Problem {
    /// The complaint about the file at `path`, its remedy, and the system's reason.
    pub(super) fn complaint(self, path: &Path) -> (String, &'static str, Option<io::Error>) {
        let path = path.display();
        match self {
            Self::Special(what) => {
                let hint = "only regular files can be read again when a leaf is retried";
                (format!("`{path}` is {what}, not a regular file"), hint, None)
            }
            Self::Endless(most) => {
                let text = format!("`{path}` does not tell its size, and has more than {}", show_size(most));
                (text, "copy it to a file, and name that", None)
            }
            Self::Io(cause, _) => (format!("cannot read `{path}`"), "", Some(cause)),
        }
    }

    /// The size of the file, 0 where that is unknown.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Io(_, size) => *size,
            Self::Special(_) | Self::Endless(_) => 0,
        }
    }
}

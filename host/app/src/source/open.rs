//! Opens arbitrary paths: never blocks on a pipe or a device, and reads files that do not report
//! their size.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;

use super::stamp::{Identity, Stamp};
use crate::size::show_size;

/// Magic number of sysfs, whose files all report the size of a page: `linux/magic.h`.
const SYSFS: u64 = 0x6265_6572;

/// A file that can be one or several partitions.
#[derive(Debug)]
pub(super) enum Input {
    /// A file that can be opened again and read in pieces.
    File(Stamp, Identity),
    /// Content of a file without a size before it is read, such as those of `/proc`.
    Bytes(Bytes, Identity),
}

/// Reason why a file could not be planned.
#[derive(Debug)]
pub(super) enum Problem {
    /// The path is not a regular file, but of this kind. It was not opened: opening could have side
    /// effects or block forever.
    Special(&'static str),
    /// The file does not report its size and has more bytes than may be held: the limit, in bytes.
    Endless(u64),
    /// The operating system's error, and the size in bytes if known, or else 0.
    Io(io::Error, u64),
}

/// Examines a file, so that an unreadable file is known before anything runs. `is_regular` is true
/// if the folder lists it as a regular file. At most `most` bytes are held of a file that does not
/// report its size.
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

/// False for a file whose content is generated on reading. Only files that claim to be empty or to
/// occupy no blocks are examined further.
fn tells_its_size(found: &Metadata, file: &File) -> bool {
    let on_sysfs = || rustix::fs::fstatfs(file).is_ok_and(|system| u64::try_from(system.f_type) == Ok(SYSFS));
    found.size() > 0 && (found.blocks() > 0 || !on_sysfs())
}

/// Reads a whole file; returns `None` if it has more than `most` bytes.
fn read_all(file: &File, most: u64) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then(|| Bytes::from(bytes)))
}

impl Problem {
    /// Returns the text about the file at `path`, the remedy, and the operating system's error.
    pub(super) fn complaint(self, path: &Path) -> (String, &'static str, Option<io::Error>) {
        let path = path.display();
        match self {
            Self::Special(what) => {
                let hint = "only regular files can be read again when a leaf is retried";
                (format!("`{path}` is {what}, not a regular file"), hint, None)
            }
            Self::Endless(most) => {
                let text = format!("`{path}` does not report its size, and has more than {}", show_size(most));
                (text, "copy it to a file, and name that", None)
            }
            Self::Io(cause, _) => (format!("cannot read `{path}`"), "", Some(cause)),
        }
    }

    /// Size of the file in bytes; 0 if unknown.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Io(_, size) => *size,
            Self::Special(_) | Self::Endless(_) => 0,
        }
    }
}

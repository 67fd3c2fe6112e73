//! The reader of small files: all that the host reads whole and that somebody else may have put there, such as `frond.toml`,
//! cases, settings, certificates and password files.
//!
//! It opens without blocking, so that a named pipe or a device holds up nobody; it takes regular files only; and it holds no
//! more bytes than the caller allows. Its errors say what is wrong with the file, and leave it to the caller to name the file.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

#[cfg(test)]
mod tests;

/// The most bytes of a file of settings: a `frond.toml` aside, whose list may hold partitions.
pub const SETTINGS: u64 = 1 << 20;
/// The most bytes of a file with certificates: a system's bundle of roots has a quarter of a megabyte.
pub const CERTIFICATES: u64 = 16 << 20;

/// Opens a file of any kind for reading, without waiting for the other end of a pipe.
///
/// # Errors
/// The system's.
pub fn open_any(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    // The flags are small, positive and the system's own.
    OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path)
}

/// Opens a regular file for reading. Anything else is not even opened, which could have an effect on a device.
///
/// # Errors
/// The system's, and [`ErrorKind::InvalidInput`] for what is no regular file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    regular(&fs::metadata(path)?)?;
    let file = open_any(path)?;
    // The name may stand for something else by now.
    let found = file.metadata()?;
    regular(&found)?;
    Ok((file, found))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`], and [`ErrorKind::FileTooLarge`] for a larger file.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, found) = open(path)?;
    if found.len() > most {
        return Err(too_large(most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    // It may grow while it is read, and files of `/proc` do not tell their size.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(most));
    }
    Ok(bytes)
}

/// Reads a regular file of at most `most` bytes of UTF-8.
///
/// # Errors
/// As [`read`], and [`ErrorKind::InvalidData`] for other bytes.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

/// What kind of file it is, in words.
#[must_use]
pub fn kind(file: FileType) -> &'static str {
    if file.is_file() {
        "a regular file"
    } else if file.is_dir() {
        "a folder"
    } else if file.is_fifo() {
        "a named pipe"
    } else if file.is_socket() {
        "a socket"
    } else if file.is_char_device() || file.is_block_device() {
        "a device"
    } else {
        "something special"
    }
}

fn regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = kind(found.file_type());
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {}", size(most)))
}

/// A bound in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

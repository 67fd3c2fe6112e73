//! Reader of small files, for everything that the host reads whole and that others may have placed:
//! `frond.toml`, cases, settings, certificates and password files.
//!
//! It opens without blocking, so that a named pipe or a device blocks nobody. It accepts regular
//! files only, and reads no more bytes than the caller allows. Its errors describe the file but do
//! not name it: the caller does.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

#[cfg(test)]
mod tests;

/// The most bytes of a settings file, except for a `frond.toml`, which may list partitions.
pub const SETTINGS: u64 = 1 << 20;
/// The most bytes of a certificate file: a system's bundle of roots has a quarter of a megabyte.
pub const CERTIFICATES: u64 = 16 << 20;

/// Opens a file of any kind for reading, without waiting for the other end of a pipe.
///
/// # Errors
/// The error of the system call.
pub fn open_any(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    // The flags are small, positive constants of the operating system.
    OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path)
}

/// Opens a regular file for reading. Other files are not opened at all, as opening a device may
/// have an effect.
///
/// # Errors
/// The error of the system call, or [`ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    regular(&fs::metadata(path)?)?;
    let file = open_any(path)?;
    // The name may refer to another file since the first check.
    let found = file.metadata()?;
    regular(&found)?;
    Ok((file, found))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// See [`open`]; [`ErrorKind::FileTooLarge`] for a larger file.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, found) = open(path)?;
    if found.len() > most {
        return Err(too_large(most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    // The file may grow during the read, and files of `/proc` report no size.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(most));
    }
    Ok(bytes)
}

/// Reads a regular file of at most `most` bytes of UTF-8.
///
/// # Errors
/// See [`read`]; [`ErrorKind::InvalidData`] for other bytes.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

/// Kind of a file in words, with an article.
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
        "a special file"
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

/// Formats a bound in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

//! System calls on granted folders. Each may block on a file system.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;
use cap_primitives::fs::{FollowSymlinks, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{FileType, OFlags};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorStat, DescriptorType, ErrorCode};

use super::error::FileError;

/// Most bytes of one read.
pub(super) const CHUNK: usize = 64 << 10;

/// Mode in which a path is opened.
#[derive(Clone, Copy)]
pub(super) struct OpenMode {
    /// True to follow a symbolic link at the path's end.
    pub(super) follow: bool,
    /// True if the path must be a folder.
    pub(super) folder: bool,
}

/// Opens the granted folder itself, wherever it is, only to resolve names in it.
pub(super) fn open_folder(path: &Path) -> io::Result<File> {
    let flags = bits(OFlags::PATH | OFlags::DIRECTORY);
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens a regular file or a folder; the flag is true for a folder. A file of another kind is not
/// opened, or closed at once if it has replaced the file since the first check.
pub(super) fn open_beneath(folder: &File, path: &Path, how: OpenMode) -> Result<(File, bool), FileError> {
    let found = metadata_at(folder, path, how.follow)?;
    if found.is_symlink() {
        return Err(FileError::Code(ErrorCode::Loop));
    }
    plain(found.mode())?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(bits(OFlags::NONBLOCK | OFlags::NOCTTY));
    let file = cap_primitives::fs::open(folder, path, &options)?;
    let found = file.metadata()?;
    plain(found.mode())?;
    if how.folder && !found.is_dir() {
        Err(FileError::Code(ErrorCode::NotDirectory))
    } else {
        Ok((file, found.is_dir()))
    }
}

/// Reads the metadata of a path.
pub(super) fn metadata_at(folder: &File, path: &Path, follow: bool) -> io::Result<Metadata> {
    cap_primitives::fs::stat(folder, path, if follow { FollowSymlinks::Yes } else { FollowSymlinks::No })
}

/// Reads at most `len` bytes at an offset.
pub(super) fn read(file: &File, offset: u64, len: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(CHUNK)];
    loop {
        match file.read_at(&mut bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                bytes.truncate(read?);
                return Ok(bytes.into());
            }
        }
    }
}

/// Converts metadata to WASI's.
pub(super) fn stat(found: &Metadata) -> DescriptorStat {
    // WASI has no times before 1970.
    let time = |seconds: i64, nanoseconds: i64| {
        Some(Datetime { seconds: u64::try_from(seconds).ok()?, nanoseconds: u32::try_from(nanoseconds).ok()? })
    };
    DescriptorStat {
        type_: type_of(file_type(found.mode())),
        link_count: found.nlink(),
        size: found.size(),
        data_access_timestamp: time(found.atime(), found.atime_nsec()),
        data_modification_timestamp: time(found.mtime(), found.mtime_nsec()),
        status_change_timestamp: time(found.ctime(), found.ctime_nsec()),
    }
}

pub(super) fn type_of(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}

/// Accepts only regular files and folders.
fn plain(mode: u32) -> Result<(), FileError> {
    Err(FileError::Special(match file_type(mode) {
        FileType::RegularFile | FileType::Directory => return Ok(()),
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink | FileType::Unknown => "a special file",
    }))
}

fn file_type(mode: u32) -> FileType {
    FileType::from_raw_mode(mode)
}

/// Converts flags, which are small and positive.
pub(super) fn bits(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const FOLLOW: OpenMode = OpenMode { follow: true, folder: false };

    /// Runs `look` on a folder in which `changing` is alternately a file and a named pipe without a
    /// writer.
    fn changing(look: impl FnOnce(&File)) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "York").unwrap();
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::fs::hard_link(path("file"), path("changing")).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for from in ["pipe", "file"] {
                        std::fs::hard_link(path(from), path("next")).unwrap();
                        std::fs::rename(path("next"), path("changing")).unwrap();
                    }
                }
            });
            look(&open_folder(folder.path()).unwrap());
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn what_becomes_a_pipe_while_it_is_opened_is_neither_waited_for_nor_given() {
        changing(|folder| {
            for _ in 0..2000 {
                match open_beneath(folder, Path::new("changing"), FOLLOW) {
                    Ok((file, is_folder)) => {
                        assert_eq!((read(&file, 0, 9).unwrap(), is_folder), ("York".into(), false))
                    }
                    Err(FileError::Special(what)) => assert_eq!(what, "a named pipe"),
                    Err(other) => assert!(matches!(other, FileError::Io(_)), "{other:?}"),
                }
            }
        });
    }

    #[test]
    fn an_end_and_what_is_beyond_it_have_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "York").unwrap();
        let opened = open_beneath(&open_folder(folder.path()).unwrap(), Path::new("file"), FOLLOW).unwrap().0;
        let read = |offset: u64, len: u64| read(&opened, offset, len).map(|bytes| bytes.len()).unwrap_or(usize::MAX);
        assert_eq!([read(0, u64::MAX), read(3, 9), read(4, 1), read(1 << 40, 1)], [4, 1, 0, 0]);
    }
}

//! Opens files beneath a folder, for names that another host chooses. The kernel resolves them
//! (`openat2` with `RESOLVE_BENEATH`), so neither `..` nor a link leads out of the folder, whatever
//! changes meanwhile.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open as open_path, openat2};

/// Opens a regular file beneath a folder. Files of other kinds are not opened, as opening a device
/// may have an effect.
pub(super) fn open(folder: &Path, name: &Path) -> io::Result<File> {
    let folder = open_folder(folder)?;
    let found = at(&folder, name, OFlags::PATH)?.metadata()?;
    if !found.is_file() {
        let what = frond_files::kind(found.file_type());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a regular file")));
    }
    // The name may refer to another file since then, which does not block: users compare its stamp.
    at(&folder, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
}

/// Refuses a folder that cannot be opened, and a kernel that cannot confine names to it.
pub(super) fn check(folder: &Path) -> io::Result<()> {
    at(&open_folder(folder)?, Path::new("."), OFlags::PATH).map(drop)
}

/// Opens the folder itself, wherever it is, only to resolve names in it.
fn open_folder(folder: &Path) -> io::Result<File> {
    Ok(open_path(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?.into())
}

fn at(folder: &File, name: &Path, flags: OFlags) -> io::Result<File> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(folder, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?.into())
}

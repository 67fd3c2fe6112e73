//! Worker's side of the tests of memory: every way to get more than the limit.

use frond_wall::Wall;

use crate::attacker::verdict;
use crate::attempts::{arg, call, text};

/// Limit of these tests.
const LIMIT: u64 = 256 << 20;
/// Size beyond the limit.
const TOO_MUCH: u64 = 512 << 20;
/// Size well within the limit.
const LITTLE: u64 = 16 << 20;
/// Address space as wasmtime's pool reserves it.
const RESERVED: u64 = 64 << 30;
/// Largest image of a component in these tests.
const IMAGE: u64 = 1 << 20;
/// Protection of ordinary memory.
const ORDINARY: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
/// Flags of a private mapping.
const PRIVATE: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as u64;

/// Maps private memory, and returns its address.
fn map(size: u64, protection: u64) -> Result<u64, i32> {
    // SAFETY: the kernel chooses a free address.
    let address = unsafe { libc::syscall(libc::SYS_mmap, 0_u64, size, protection, PRIVATE, arg(-1), 0_u64) };
    if address == -1 { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(address as u64) }
}

/// Gets memory within and beyond the limit.
pub(crate) fn bounded(wall: Wall) {
    Wall { memory: LIMIT, ..wall }.enter().unwrap();
    verdict("map little", map(LITTLE, ORDINARY).map(drop));
    verdict("map too much", map(TOO_MUCH, ORDINARY).map(drop));
    let reserved = map(RESERVED, 0);
    verdict("reserve", reserved.map(drop));
    let reserved = reserved.unwrap();
    verdict("use little of it", call(libc::SYS_mprotect, &[reserved, LITTLE, ORDINARY]));
    verdict("use too much of it", call(libc::SYS_mprotect, &[reserved, TOO_MUCH, ORDINARY]));
    let grown = map(LITTLE, ORDINARY).unwrap();
    verdict("grow", call(libc::SYS_mremap, &[grown, LITTLE, TOO_MUCH, arg(libc::MREMAP_MAYMOVE)]));
    let mut allocated: Vec<u8> = Vec::new();
    verdict("allocate", allocated.try_reserve_exact(TOO_MUCH as usize).map_err(|_| libc::ENOMEM));
    // SAFETY: `brk` returns the present end when it cannot move it, and without one it moves none.
    let end = unsafe { libc::syscall(libc::SYS_brk, 0_u64) } as u64;
    // SAFETY: as above; nothing uses the memory behind the end.
    let moved = unsafe { libc::syscall(libc::SYS_brk, end + TOO_MUCH) } as u64;
    verdict("brk", if moved == end { Err(libc::ENOMEM) } else { Ok(()) });
    verdict("image", call(libc::SYS_memfd_create, &[text("image"), 0]));
}

/// Makes images of components within and beyond the limit, as wasmtime does.
pub(crate) fn images(wall: Wall) {
    Wall { images: IMAGE, ..wall }.enter().unwrap();
    // SAFETY: the name ends with a zero.
    let image = unsafe { libc::memfd_create(c"image".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    let file = u64::try_from(image);
    verdict("create", file.map(drop).map_err(|_| 0));
    let file = file.unwrap();
    let data = vec![7_u8; IMAGE as usize];
    let data_at = data.as_ptr() as u64;
    verdict("write", call(libc::SYS_write, &[file, data_at, IMAGE]));
    verdict("write too much", call(libc::SYS_write, &[file, data_at, 1]));
    verdict("extend", call(libc::SYS_ftruncate, &[file, IMAGE + 1]));
    let seals = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    verdict("seal", call(libc::SYS_fcntl, &[file, arg(libc::F_ADD_SEALS), arg(seals)]));
    let private = arg(libc::MAP_PRIVATE);
    verdict("map", call(libc::SYS_mmap, &[0, IMAGE, ORDINARY, private, file, 0]));
}

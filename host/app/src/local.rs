//! Local file systems: only this machine uses them. On other file systems, files may change unseen
//! and calls may hang.

use std::fs::File;

/// True for a file on a local file system; false if that is unknown.
#[cfg(target_os = "linux")]
pub(crate) fn is_local(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|found| is_kind_local(found.f_type))
}

/// Always true: the kind of a file system is examined only on Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_local(_: &File) -> bool {
    true
}

/// True for the magic number of a local file system (`man 2 statfs`).
#[cfg(target_os = "linux")]
pub fn is_kind_local(kind: impl Into<i64>) -> bool {
    // bcachefs, btrfs, ext2 to ext4, f2fs, JFS, overlayfs, ramfs, reiserfs, tmpfs, XFS, ZFS.
    const LOCAL: [i64; 11] = [
        0xca45_1a4e,
        0x9123_683e,
        0xef53,
        0xf2f5_2010,
        0x3153_464a,
        0x794c_7630,
        0x8584_58f6,
        0x5265_4973,
        0x0102_1994,
        0x5846_5342,
        0x2fc1_2fc1,
    ];
    LOCAL.contains(&(kind.into() & 0xffff_ffff))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_not_local() {
        let [nfs, fuse, smb2, p9, ceph]: [i64; 5] = [0x6969, 0x6573_5546, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400];
        assert!([nfs, fuse, smb2, p9, ceph].iter().all(|kind| !is_kind_local(*kind)));
        let [ext4, tmpfs, overlay, btrfs]: [i64; 4] = [0xef53, 0x0102_1994, 0x794c_7630, -1_859_950_530];
        assert!([ext4, tmpfs, overlay, btrfs].iter().all(|kind| is_kind_local(*kind)));
    }
}

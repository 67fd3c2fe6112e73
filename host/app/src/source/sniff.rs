//! Detects files that leaves would misread: compressed files, and text in UTF-16 or UTF-32.

use std::path::Path;

use frond_root::Notes;

/// Magic numbers and the formats they belong to. Sources: RFC 1952, RFC 8878, the xz file format
/// 1.2, bzip2, the LZ4 frame format 1.6, PKWARE's APPNOTE 6.3.10, and the Unicode standard, 23.8.
const KNOWN: [(&[u8], Kind); 11] = [
    (b"\x1f\x8b\x08", Kind::Compressed("gzip")),
    (b"\x28\xb5\x2f\xfd", Kind::Compressed("Zstandard")),
    (b"\xfd7zXZ\0", Kind::Compressed("xz")),
    (b"BZh", Kind::Compressed("bzip2")),
    (b"\x04\x22\x4d\x18", Kind::Compressed("LZ4")),
    (b"PK\x03\x04", Kind::Compressed("ZIP")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Compressed("7-Zip")),
    // Precedes UTF-16, whose little-endian mark has the same first bytes.
    (b"\xff\xfe\0\0", Kind::Text("UTF-32")),
    (b"\0\0\xfe\xff", Kind::Text("UTF-32")),
    (b"\xff\xfe", Kind::Text("UTF-16")),
    (b"\xfe\xff", Kind::Text("UTF-16")),
];

/// Kind of content that a leaf may not expect, with its name.
#[derive(Clone, Copy)]
enum Kind {
    Compressed(&'static str),
    Text(&'static str),
}

/// Bytes that tell every known format.
pub(super) const FIRST: usize = 8;

/// True if the content that begins with `bytes` is compressed: a leaf cannot begin within it.
pub(super) fn is_compressed(bytes: &[u8]) -> bool {
    KNOWN.iter().any(|(first, kind)| matches!(kind, Kind::Compressed(_)) && bytes.starts_with(first))
}

/// Adds a note if the file `name` starts with a known magic number. The file is read unchanged
/// either way.
pub(super) fn note(bytes: &[u8], name: &Path, notes: &Notes) {
    let Some((_, kind)) = KNOWN.iter().find(|(first, _)| bytes.starts_with(first)) else { return };
    let text = match kind {
        Kind::Compressed(how) => format!("compressed ({how}), and given to leaves as it is (decompress it first)"),
        Kind::Text(coding) => format!("text in {coding}, and given to leaves as it is (convert it to UTF-8 first)"),
    };
    notes.add(&text, &name.to_string_lossy());
}

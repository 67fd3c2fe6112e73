//! Tests of accepted and refused files.

use std::path::PathBuf;
use std::process::Command;

use super::*;

fn refusal(path: &Path, most: u64) -> String {
    read(path, most).unwrap_err().to_string()
}

fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_file_is_read_up_to_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "four").unwrap();
    assert_eq!(read(&path, 4).unwrap(), b"four");
    assert_eq!(read_text(&path, 5).unwrap(), "four");
    assert_eq!(refusal(&path, 3), "it has more than 3 bytes");
    fs::write(&path, "").unwrap();
    assert_eq!(read(&path, 0).unwrap(), b"");
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refusal(&pipe(folder.path()), 9), "it is a named pipe, not a regular file");
    assert_eq!(refusal(Path::new("/dev/zero"), 9), "it is a device, not a regular file");
    assert_eq!(refusal(folder.path(), 9), "it is a folder, not a regular file");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("pipe", &link).unwrap();
    assert_eq!(refusal(&link, 9), "it is a named pipe, not a regular file");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(refusal(&socket, 9), "it is a socket, not a regular file");
    assert_eq!(read(&folder.path().join("none"), 9).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open_any(&pipe(folder.path())).unwrap();
    assert!(regular(&opened.metadata().unwrap()).is_err());
}

#[test]
fn a_sparse_file_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(refusal(&path, 16 << 20), "it has more than 16 MiB");
}

#[test]
fn files_that_do_not_tell_their_size_are_read_and_bounded() {
    assert!(read_text(Path::new("/proc/self/status"), 1 << 20).unwrap().contains("Name:"));
    assert_eq!(refusal(Path::new("/proc/self/status"), 10), "it has more than 10 bytes");
}

#[test]
fn text_is_utf_8() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(read_text(&path, 9).unwrap_err().to_string(), "it is not UTF-8 text");
}

#[test]
fn bounds_are_told_in_whole_units() {
    assert_eq!(size(0), "0 bytes");
    assert_eq!(size(1025), "1025 bytes");
    assert_eq!(size(3 << 10), "3 KiB");
    assert_eq!(size(2 << 30), "2 GiB");
}

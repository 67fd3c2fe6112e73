//! Writers to non-blocking descriptors and to closed pipes.

use std::io::{ErrorKind, Read, Write, pipe};

use rustix::fs::{OFlags, fcntl_setfl};

use super::{Forgiving, Patient};

#[test]
fn a_pipe_that_does_not_block_is_waited_for() {
    let (mut reader, mut writer) = pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    let all = vec![b'x'; 1 << 20];
    assert_eq!(writer.write_all(&all).unwrap_err().kind(), ErrorKind::WouldBlock, "it holds less");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    Patient(writer).write_all(&all).unwrap();
    assert!(reading.join().unwrap() > all.len());
}

#[test]
fn only_what_is_forgiven_is_no_error() {
    let gone = || {
        let (_, writer) = pipe().unwrap();
        Patient(writer)
    };
    assert_eq!(gone().write_all(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let broken = |error: &std::io::Error| error.kind() == ErrorKind::BrokenPipe;
    Forgiving { out: gone(), forgives: broken }.write_all(b"x").unwrap();
    Forgiving { out: gone(), forgives: |_| false }.write_all(b"x").unwrap_err();
}

//! Tests of landlock alone, without the filter before it. Each restricts a thread of its own.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread;

use super::*;

/// Kinds of error by what was tried.
type Denials = Vec<(&'static str, Option<ErrorKind>)>;

/// Runs `attempt` in a thread that is under landlock; `None` on a kernel without it.
fn restricted(attempt: impl FnOnce() -> Denials + Send) -> Option<(i64, Denials)> {
    let version = version().ok()?;
    let confined = || {
        let part = restrict(Some(0)).unwrap();
        assert_ne!(part.state, State::Missing, "{part}");
        attempt()
    };
    Some((version, thread::scope(|scope| scope.spawn(confined).join().unwrap())))
}

#[test]
fn landlock_alone_refuses_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    File::create(&path).unwrap();
    let denials = restricted(|| {
        let kind = |result: io::Result<()>| result.err().map(|error| error.kind());
        vec![
            ("read", kind(File::open(&path).map(drop))),
            ("read /etc/passwd", kind(File::open("/etc/passwd").map(drop))),
            ("create", kind(File::create(folder.path().join("other")).map(drop))),
            ("remove", kind(std::fs::remove_file(&path))),
            ("make a folder", kind(std::fs::create_dir(folder.path().join("folder")))),
            ("list", kind(std::fs::read_dir("/").map(drop))),
        ]
    });
    let Some((_, denials)) = denials else { return };
    for (what, kind) in denials {
        assert_eq!(kind, Some(ErrorKind::PermissionDenied), "{what}");
    }
    assert!(File::open(&path).is_ok(), "other threads stay as they were");
}

#[test]
fn landlock_alone_refuses_the_network_and_abstract_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap();
    let name = SocketAddr::from_abstract_name(format!("frond-wall-{}", std::process::id())).unwrap();
    let _abstract_listener = UnixListener::bind_addr(&name).unwrap();
    let denials = restricted(|| {
        let kind = |result: io::Result<()>| result.err().map(|error| error.kind());
        vec![
            ("connect", kind(TcpStream::connect(port).map(drop))),
            ("bind", kind(TcpListener::bind("127.0.0.1:0").map(drop))),
            ("abstract", kind(UnixStream::connect_addr(&name).map(drop))),
        ]
    });
    let Some((version, denials)) = denials else { return };
    let refused = |since: i64| (version >= since).then_some(ErrorKind::PermissionDenied);
    assert_eq!(
        denials,
        [("connect", refused(WITH_TCP)), ("bind", refused(WITH_TCP)), ("abstract", refused(WITH_SCOPES))]
    );
}

#[test]
fn a_kernel_without_landlock_is_told_apart_from_one_that_refuses_it() {
    let said = |number| {
        let part = absent(&io::Error::from_raw_os_error(number));
        assert_eq!(part.state, State::Missing);
        (part.message, part.remedy.unwrap())
    };
    assert_eq!(said(libc::EOPNOTSUPP).1, "add `landlock` to the boot parameter `lsm=`");
    assert!(said(libc::EPERM).0.contains("container"));
    assert!(said(libc::ENOSYS).1.contains("5.13"));
    assert_eq!(described(3).state, State::Partial);
    assert_eq!(described(5).state, State::Partial);
    assert_eq!(described(6).state, State::Whole);
}

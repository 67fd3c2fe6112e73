//! When the certificate is replaced, and when it is kept.

use std::path::Path;

use rcgen::generate_simple_self_signed;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{Certificate, Tls};

/// Writes a new certificate, its key, or both.
fn write(files: &Tls, certificate: bool, key: bool) -> CertificateDer<'static> {
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    // Renewals replace the file by an atomic rename.
    let replace = |path: &Path, text: String| {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    };
    if certificate {
        // The size differs from the previous one, so that coarse time stamps do not matter.
        replace(&files.certificate, format!("{}\n{}", made.cert.pem(), " ".repeat(rand::random_range(1..100_000))));
    }
    if key {
        replace(
            &files.key,
            format!("{}\n{}", made.signing_key.serialize_pem(), " ".repeat(rand::random_range(1..100_000))),
        );
    }
    made.cert.der().clone()
}

fn shown(certificate: &Certificate) -> CertificateDer<'static> {
    certificate.current.load().cert[0].clone()
}

#[test]
fn files_that_change_are_read_again_and_what_does_not_fit_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let files = Tls { certificate: folder.path().join("server.pem"), key: folder.path().join("server.key") };
    let first = write(&files, true, true);
    let certificate = Certificate::read(&files).unwrap();
    certificate.look();
    assert_eq!(shown(&certificate), first);
    let second = write(&files, true, true);
    certificate.look();
    assert_eq!(shown(&certificate), second);
    // The key alone: it does not go with the certificate.
    write(&files, false, true);
    certificate.look();
    assert_eq!(shown(&certificate), second);
    assert!(certificate.replace(&files).is_err());
    std::fs::remove_file(&files.certificate).unwrap();
    certificate.look();
    assert_eq!(shown(&certificate), second);
    let third = write(&files, true, true);
    certificate.look();
    assert_eq!(shown(&certificate), third);
}

#[test]
fn other_files_take_their_place_at_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let files = |name: &str| Tls {
        certificate: folder.path().join(format!("{name}.pem")),
        key: folder.path().join(format!("{name}.key")),
    };
    write(&files("old"), true, true);
    let certificate = Certificate::read(&files("old")).unwrap();
    let new = write(&files("new"), true, true);
    certificate.replace(&files("new")).unwrap();
    assert_eq!(shown(&certificate), new);
    let newer = write(&files("new"), true, true);
    certificate.look();
    assert_eq!(shown(&certificate), newer);
}

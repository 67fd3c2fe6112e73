//! Tests of the choice of roots, and of errors for files without any.

use std::path::Path;

use rcgen::generate_simple_self_signed;

use super::{Trust, TrustError, of_system};

fn write(path: &Path) {
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(path, made.cert.pem()).unwrap();
}

#[test]
fn a_file_counts_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roots.pem");
    write(&path);
    assert_eq!(super::read(&path).unwrap().len(), 1);
    let trust = Trust::file(&path).unwrap();
    assert_eq!(trust.client_for(&["http/1.1"]).unwrap().alpn_protocols, [b"http/1.1"]);
    assert_ne!(trust, Trust::system());
    assert_eq!(trust, trust.clone());
}

#[test]
fn a_file_without_roots_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roots.pem");
    assert!(matches!(Trust::file(&path), Err(TrustError::Unreadable { .. })));
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&path, text).unwrap();
        let error = Trust::file(&path).unwrap_err().to_string();
        assert!(error.contains("roots.pem` must hold root certificates in PEM form"), "{error}");
    }
}

#[test]
fn a_system_without_a_store_trusts_what_is_compiled_in() {
    // Independent of the host's certificates: there is always a root to trust.
    assert!(!of_system(|_| false).unwrap().is_empty());
}

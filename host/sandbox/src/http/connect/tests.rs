//! Addresses that may be connected to, and TLS trust.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::grants::Trust;

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 80)).collect()
}

#[test]
fn of_a_name_s_addresses_only_the_public_ones_are_connected_to() {
    let found = addresses(&["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"]);
    assert_eq!(allowed(&found, false), Ok(addresses(&["8.8.8.8", "2606:4700::1111"])));
    assert_eq!(allowed(&found, true), Ok(found));
    assert_eq!(allowed(&addresses(&["169.254.169.254"]), false), Err(Some("169.254.169.254".parse().unwrap())));
    assert_eq!(allowed(&[], true), Err(None));
}

#[tokio::test]
async fn the_first_address_that_answers_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answers = listener.local_addr().unwrap();
    let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let by = Instant::now() + std::time::Duration::from_secs(60);
    let stream = first(&[refuses, answers], by).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), answers);
    assert!(matches!(first(&[refuses], by).await, Err(Error::ConnectionRefused)));
    assert!(matches!(first(&[answers], Instant::now()).await, Err(Error::ConnectionTimeout) | Ok(_)));
}

/// Makes a TLS connection to a server with a certificate for `shown`, by a client that asks for
/// `name` and trusts the certificate as a root if `trusted`. Returns the server's text.
async fn shaken(shown: &str, name: &str, trusted: bool) -> Result<String, Error> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([shown.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![cert.der().clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let other = generate_simple_self_signed([shown.to_owned()]).unwrap().cert;
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), if trusted { cert.pem() } else { other.pem() }).unwrap();
    let config = Trust::file(roots.path()).unwrap().client_for(&["http/1.1"]).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = secured(&connector, &Target::read(name), stream).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    Ok(text)
}

#[tokio::test]
async fn tls_trusts_whom_a_root_vouches_for_under_the_name_that_is_asked() {
    assert_eq!(shaken("api.example.com", "API.example.com.", true).await.unwrap(), "hello");
    assert_eq!(shaken("127.0.0.1", "127.0.0.1", true).await.unwrap(), "hello");
    for (shown, name, trusted) in
        [("api.example.com", "other.example.com", true), ("api.example.com", "api.example.com", false)]
    {
        let error = shaken(shown, name, trusted).await.unwrap_err();
        assert!(matches!(error, Error::TlsCertificateError), "{error:?}");
    }
}

//! HTTPS with a test certificate: HTTP/1.1, HTTP/2, and clients without TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_server::config::{Config, Time, Tls};
use frond_server::{Order, ServeError, Starting};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

use crate::common::{Served, apps, by_key, config, within};
use crate::raw::{Raw, status};

/// Writes a certificate for `localhost` and its key into a folder.
fn certify(folder: &Path, name: &str) -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = Tls { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

pub(crate) async fn secure(more: Config) -> (Served, CertificateDer<'static>) {
    let folder = apps();
    let (tls, certificate) = certify(folder.path(), "server");
    let served = Served::of(folder, Config { tls: Some(tls), ..more }).await;
    assert!(served.url.starts_with("https://"), "{}", served.url);
    (served, certificate)
}

pub(crate) async fn connect(
    served: &Served,
    certificate: CertificateDer<'static>,
    version: &[u8],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![version.to_vec()];
    let tcp = TcpStream::connect(served.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(TlsConnector::from(Arc::new(client)).connect(name, tcp)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(version));
    stream
}

fn asking(host: &str) -> http::Request<Full<Bytes>> {
    let body = Full::new(Bytes::from(by_key(&["ok-0", "ok-1"])));
    let request = http::Request::post(format!("https://{host}/v1/apps/caller/query"));
    request.header("host", host).body(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken_over_tls() {
    let (served, certificate) = secure(config()).await;
    let io = TokioIo::new(connect(&served, certificate.clone(), b"http/1.1").await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let reply = within(sender.send_request(asking("localhost"))).await.unwrap();
    assert_eq!((reply.status(), reply.version()), (http::StatusCode::OK, http::Version::HTTP_11));

    let io = TokioIo::new(connect(&served, certificate, b"h2").await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut request = asking("localhost");
    request.headers_mut().remove("host");
    let reply = within(sender.send_request(request)).await.unwrap();
    assert_eq!((reply.status(), reply.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    assert_eq!(reply.headers()["frond-complete"], "true");
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&body).unwrap().contains("\"count\":2"));
    // Two different host names are ambiguous.
    let mut request = asking("localhost");
    request.headers_mut().insert("host", "evil.example".parse().unwrap());
    let reply = within(sender.send_request(request)).await.unwrap();
    assert_eq!(reply.status(), http::StatusCode::BAD_REQUEST);
    // HTTP/2 has the host in the URL, without a header.
    let mut request = asking("evil.example");
    request.headers_mut().remove("host");
    let reply = within(sender.send_request(request)).await.unwrap();
    assert_eq!(reply.status(), http::StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_without_tls_too_and_a_cancelled_stream_cancels_its_leaves() {
    let served = Served::new().await;
    let tcp = TcpStream::connect(served.address()).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let ask = |keys: &[&str]| {
        let body = Full::new(Bytes::from(by_key(keys)));
        http::Request::post(format!("{}/v1/apps/caller/query", served.url)).body(body).unwrap()
    };
    let spinning = sender.send_request(ask(&["spin"]));
    let spinning = tokio::spawn(spinning);
    served.leaves(1).await;
    // Other streams on the connection are answered, also after one is cancelled.
    assert_eq!(within(sender.send_request(ask(&["ok"]))).await.unwrap().status(), 200);
    spinning.abort();
    served.leaves(0).await;
    assert_eq!(within(sender.send_request(ask(&["ok"]))).await.unwrap().status(), 200);
    let head = http::Request::get(format!("{}/healthz", served.url)).header("x-large", "x".repeat(60_000));
    let large = within(sender.send_request(head.body(Full::default()).unwrap())).await;
    assert!(large.is_err() || large.is_ok_and(|reply| reply.status() == 431));
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_agree_on_tls_is_cut_off() {
    let mut impatient = config();
    impatient.limits.header_time = Time(Duration::from_millis(200));
    let (served, certificate) = secure(impatient).await;
    for said in ["", "\x16\x03\x01", "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut raw = Raw::to(&served).await;
        raw.send(said).await;
        let reply = raw.rest().await;
        assert!(!reply.contains("HTTP/1.1 200"), "{reply}");
    }
    // The TLS handshake succeeds, then the client is silent.
    let mut stream = connect(&served, certificate, b"http/1.1").await;
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.is_empty() || status(&rest) == 408, "{rest}");
}

/// The certificate that the server sends to a new client.
async fn shown(served: &Served) -> CertificateDer<'static> {
    #[derive(Debug)]
    struct Anyone(rustls::crypto::WebPkiSupportedAlgorithms);
    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls12_signature(message, certificate, signed, &self.0)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(message, certificate, signed, &self.0)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_schemes()
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let anyone = Arc::new(Anyone(provider.signature_verification_algorithms));
    let client = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions().unwrap();
    let client = client.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth();
    let tcp = TcpStream::connect(served.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(TlsConnector::from(Arc::new(client)).connect(name, tcp)).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn reload(served: &Served, tls: Tls) {
    served.order(Order::Reload(Box::new(Config { tls: Some(tls), ..config() }))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_reloaded_unless_it_is_invalid() {
    let (served, first) = secure(config()).await;
    assert_eq!(shown(&served).await, first);
    let (tls, second) = certify(served.folder.path(), "server");
    reload(&served, tls.clone()).await;
    within(async { while shown(&served).await != second {} }).await;
    // The certificate is in other files.
    let (moved, third) = certify(served.folder.path(), "moved");
    reload(&served, moved.clone()).await;
    within(async { while shown(&served).await != third {} }).await;
    // A certificate without its key: the reload is refused, and a later valid one is accepted.
    reload(&served, Tls { key: tls.key, ..moved }).await;
    let (last, fourth) = certify(served.folder.path(), "last");
    reload(&served, last).await;
    let seen = within(async {
        loop {
            let now = shown(&served).await;
            if now != third {
                return now;
            }
        }
    });
    assert_eq!(seen.await, fourth);
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_sent_over_tls_to_a_receiver_that_the_roots_vouch_for() {
    let folder = apps();
    let (files, _) = certify(folder.path(), "receiver");
    let certificate = CertificateDer::pem_file_iter(&files.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let receiver = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let receiver = receiver.with_no_client_auth().with_single_cert(certificate, key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let traces = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let received = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(receiver)).accept(tcp).await.unwrap();
        let mut head = [0; 16];
        stream.read_exact(&mut head).await.unwrap();
        String::from_utf8_lossy(&head).into_owned()
    });
    let roots = Some(files.certificate);
    let served = Served::of(folder, Config { traces: Some(traces), roots, ..config() }).await;
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    assert_eq!(within(received).await.unwrap(), "POST /v1/traces ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_traces_or_roots_that_cannot_be_are_refused_at_the_start() {
    let folder = apps();
    let text = folder.path().join("text.pem");
    std::fs::write(&text, "no certificate").unwrap();
    for (more, named) in [
        (Config { traces: Some("ftp://localhost".to_owned()), ..config() }, "over ftp"),
        (Config { traces: Some("localhost:4318".to_owned()), ..config() }, "`traces`"),
        (Config { roots: Some(text), ..config() }, "text.pem` must hold root certificates"),
        (Config { roots: Some("/nowhere.pem".into()), ..config() }, "/nowhere.pem"),
    ] {
        let Err(ServeError::Config(error)) = Starting::new(folder.path(), more).await else {
            panic!("it started with {named}");
        };
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_certificate_are_named() {
    let folder = apps();
    let (good, _) = certify(folder.path(), "good");
    let (other, _) = certify(folder.path(), "other");
    let text = folder.path().join("text.pem");
    std::fs::write(&text, "not a certificate").unwrap();
    let gone = folder.path().join("gone.pem");
    for (certificate, key, named) in [
        (&gone, &good.key, "gone.pem"),
        (&text, &good.key, "text.pem"),
        (&good.certificate, &gone, "gone.pem"),
        (&good.certificate, &text, "text.pem"),
        (&good.certificate, &other.key, "good.pem"),
    ] {
        let tls = Tls { certificate: certificate.clone(), key: key.clone() };
        let Err(ServeError::Config(error)) = Starting::new(folder.path(), Config { tls: Some(tls), ..config() }).await
        else {
            panic!("it started with {named}");
        };
        assert!(error.to_string().contains(named), "{error}");
    }
}

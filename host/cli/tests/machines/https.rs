//! A server with an unknown certificate: its clients need its root certificate.

use std::io::{BufRead, BufReader};

use serde_json::json;

use crate::kit::{Folder, Running, frond};
use crate::server::Server;

/// Returns a folder with a server's settings, and its certificate in `server.pem`.
fn secure(rest: &str) -> Folder {
    let folder = Folder::with_app("faulty", rest);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("server.pem", made.cert.pem());
    folder.write("server.key", made.signing_key.serialize_pem());
    folder.write("server.toml", "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n");
    folder
}

/// Starts a server, and returns its address.
fn serve(folder: &Folder) -> (Running, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut running = folder.frond("serve . --config server.toml --listen 127.0.0.1:0").stdout(writer).start();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    running.wait_for(" in .");
    let port = line.trim().rsplit_once(':').expect("a port").1.to_owned();
    (running, format!("https://localhost:{port}"))
}

#[test]
fn jobs_are_asked_for_over_https() {
    let folder = secure("[source]\nkind = \"query\"");
    let (_server, url) = serve(&folder);
    let list = format!("jobs list --server {url}");
    folder.frond(&format!("{list} --ca server.pem")).run().expect(0);
    folder.frond(&list).env("SSL_CERT_FILE", folder.path("server.pem")).run().expect(0);
    let refused = folder.frond(&list).run().expect(64).err();
    assert!(refused.contains("a certificate that is not trusted") && refused.contains("--ca FILE"), "{refused}");
    let none = folder.frond(&format!("{list} --ca server.key")).run().expect(64).err();
    assert!(none.contains("`server.key` must hold root certificates in PEM form"), "{none}");
    let unset = folder.frond(&list).env("SSL_CERT_FILE", folder.path("nowhere.pem")).run().expect(64).err();
    assert!(unset.contains("SSL_CERT_FILE must lead to root certificates"), "{unset}");
}

/// Rest of a manifest whose guests may send requests to this machine.
const GRANTED: &str = "[source]\nkind = \"query\"\n\n[[grants.http]]\nhost = \"localhost:*\"\nprivate = true\n";

/// Returns a query whose guest requests the server's `/healthz`.
fn asking(url: &str) -> String {
    json!({ "query": {}, "partitions": [{ "key": format!("http:GET {url}/healthz"), "data": "" }] }).to_string()
}

#[test]
fn guests_believe_the_roots_of_the_environment() {
    let folder = secure(GRANTED);
    let (_server, url) = serve(&folder);
    let order = asking(&url);
    let asked = || frond(["query", "app", &order, "--format", "json"]).dir(folder.dir());
    asked().env("SSL_CERT_FILE", folder.path("server.pem")).run().expect(0);
    let refused = asked().run().expect(4);
    assert!(refused.out().contains("CertificateError"), "{}", refused.out());
    let wrong = asked().env("SSL_CERT_FILE", folder.path("server.toml")).run().expect(4);
    assert!(
        wrong.err().contains("warning: HTTPS requests of the app fail: SSL_CERT_FILE must lead"),
        "{}",
        wrong.err()
    );
    assert!(wrong.out().contains("SSL_CERT_FILE must lead to root certificates"), "{}", wrong.out());
}

#[test]
fn guests_of_a_server_believe_the_roots_of_its_settings() {
    let folder = secure(GRANTED);
    let (_asked, url) = serve(&folder);
    let ask = |settings: &str| {
        folder.write("asks.toml", format!("state = \"asks\"\n{settings}"));
        let server = Server::by(folder.frond("serve . --config asks.toml --listen 127.0.0.1:0"));
        server.ask("POST", "/v1/apps/app/query", &asking(&url))
    };
    let (status, answer) = ask("roots = \"server.pem\"\n");
    assert!(status == 200 && answer.contains("\"status\":200"), "{status} {answer}");
    let (status, refused) = ask("");
    assert!(status >= 500 && refused.contains("CertificateError"), "{status} {refused}");
}

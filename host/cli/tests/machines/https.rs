//! A server whose certificate nobody knows: its clients are told which roots vouch for it.

use std::io::{BufRead, BufReader};

use serde_json::json;

use crate::kit::{Folder, Running, frond};

/// A folder with a server's settings, and its certificate in `server.pem`.
fn secure(rest: &str) -> Folder {
    let folder = Folder::with_app("faulty", rest);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("server.pem", made.cert.pem());
    folder.write("server.key", made.signing_key.serialize_pem());
    folder.write("server.toml", "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n");
    folder
}

/// A server, and its address.
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

#[test]
fn guests_believe_the_roots_of_the_environment() {
    let grants = "[[grants.http]]\nhost = \"localhost:*\"\nprivate = true\n";
    let folder = secure(&format!("[source]\nkind = \"query\"\n\n{grants}"));
    let (_server, url) = serve(&folder);
    let order = json!({ "query": {}, "partitions": [{ "key": format!("http:GET {url}/healthz"), "data": "" }] });
    let asked = || frond(["query", "app", &order.to_string(), "--format", "json"]).dir(folder.dir());
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

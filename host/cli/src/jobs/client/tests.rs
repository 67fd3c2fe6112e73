//! Addresses and paths of the client.

use super::*;

fn wrong(text: &str) -> String {
    address(text).unwrap_err().to_string()
}

#[test]
fn an_address_is_a_url_or_a_name_and_a_port() {
    for (text, url) in [
        ("http://127.0.0.1:7300", "http://127.0.0.1:7300/"),
        ("http://127.0.0.1:7300/", "http://127.0.0.1:7300/"),
        ("http://proxy/frond/", "http://proxy/frond/"),
        ("localhost:7300", "http://localhost:7300/"),
        ("127.0.0.1:7300", "http://127.0.0.1:7300/"),
        ("[::1]:7300", "http://[::1]:7300/"),
        ("server", "http://server/"),
        ("https://server:7300", "https://server:7300/"),
        ("https://server/frond", "https://server/frond"),
    ] {
        assert_eq!(address(text).unwrap().as_str(), url, "{text}");
    }
}

#[test]
fn what_is_none_is_refused_with_what_to_write() {
    let example = "(such as http://127.0.0.1:7300)";
    assert_eq!(wrong("http://"), format!("`http://` is not a server's address\n{example}"));
    assert_eq!(wrong("a b"), format!("`a b` is not a server's address\n{example}"));
    assert_eq!(wrong("127.0.0.1:99999"), format!("`127.0.0.1:99999` is not a server's address\n{example}"));
    assert_eq!(wrong("ftp://server"), format!("`ftp://server`: the scheme ftp is not supported\n{example}"));
    assert_eq!(wrong("http://server/?x=1"), format!("`http://server/?x=1` is more than a server's address\n{example}"));
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    for text in ["http://me:secret@server", "https://secret@server", "http://:secret@server"] {
        assert!(!wrong(text).contains("secret") && wrong(text).contains("FROND_TOKEN"), "{text}");
    }
}

#[test]
fn what_is_asked_is_below_the_address_with_every_sign_kept() {
    let remote = ServerArgs { server: Some("http://proxy/frond/".to_owned()), ..ServerArgs::default() };
    let client = Client::open(&remote).unwrap();
    let request = client.request(Method::POST, &["v1", "apps", "a b/ü?", "jobs"], &[("require", "x&y=z".to_owned())]);
    assert_eq!(request.url().as_str(), "http://proxy/frond/v1/apps/a%20b%2F%C3%BC%3F/jobs?require=x%26y%3Dz");
}

#[test]
fn a_suggested_command_names_the_server_if_it_was_named() {
    let id: JobId = "0199f2c41d0a7b3c8e5f60718293a4b5".parse().unwrap();
    let remote = ServerArgs { server: Some("localhost:1".to_owned()), ..ServerArgs::default() };
    let client = Client::open(&remote).unwrap();
    assert_eq!(
        client.command("watch", id),
        "`frond jobs watch 0199f2c41d0a7b3c8e5f60718293a4b5 --server http://localhost:1`"
    );
}

#[test]
fn a_path_is_quoted_for_a_shell() {
    for (path, quoted) in [("apps", "apps"), ("/a/b-1.2", "/a/b-1.2"), ("my apps", "'my apps'"), ("it's", r"'it'\''s'")]
    {
        assert_eq!(word(Path::new(path)), quoted);
    }
}

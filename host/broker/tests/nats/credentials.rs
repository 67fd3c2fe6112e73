//! Credentials in a file: a token that an account signed, and the key that proves it.

use data_encoding::BASE64URL_NOPAD;
use frond_broker::nats::{NatsError, Options, connect};
use frond_testkit::Nats;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::common::{introduce, options};

/// Token about `subject`, signed by `issuer`.
fn token(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: Value) -> String {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let by = issuer.public_key();
    let about = subject.public_key();
    let body = json!({ "jti": name, "iat": 1, "iss": by, "name": name, "sub": about, "nats": claims });
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&header), encode(&body));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// File of credentials as `nsc` writes it.
fn file(token: &str, user: &KeyPair) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    )
}

#[tokio::test]
async fn a_file_of_credentials_logs_in() {
    let operator = KeyPair::new_operator();
    let account = KeyPair::new_account();
    let of_operator = token(&operator, &operator, "operator", json!({ "type": "operator", "version": 2 }));
    let limits = json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1,
        "payload": -1, "wildcards": true });
    let claims = json!({ "type": "account", "version": 2, "limits": limits });
    let of_account = token(&operator, &account, "frond", claims);
    let by = account.public_key();
    let configuration =
        format!("operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {by}: {of_account} }}");
    let Some(server) = Nats::start_with(&configuration, &[]) else { return };

    let folder = tempfile::tempdir().unwrap();
    let login = |name: &str, publish: &[&str], subscribe: &[&str]| {
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": { "allow": publish }, "sub": { "allow": subscribe } });
        let path = folder.path().join(name);
        std::fs::write(&path, file(&token(&account, &user, name, claims), &user)).unwrap();
        Options { user: Some(name.to_owned()), credentials: Some(path), ..options(&server) }
    };
    let root = login("root", &["frond.*.roots", "frond.*.w.>"], &["frond.*.hello", "frond.*.r.>"]);
    let of_worker = ["frond.*.hello", "frond.*.r.*.w1.*"];
    let worker = login("w1", &of_worker, &["frond.*.roots", "frond.*.w.w1.>"]);
    let mut root = connect(&root).await.unwrap().root("the root").await.unwrap();
    let mut worker = connect(&worker).await.unwrap().worker("the worker").await.unwrap();
    let (_, carrier) = worker.next_root().await.unwrap();
    let (name, _carrier) = introduce(&carrier, &mut root, "hello").await;
    assert_eq!(&*name.name, "w1");

    // A user whom no known account vouches for.
    let stranger = KeyPair::new_account();
    let user = KeyPair::new_user();
    let path = folder.path().join("stranger");
    let claims = json!({ "type": "user", "version": 2 });
    std::fs::write(&path, file(&token(&stranger, &user, "stranger", claims), &user)).unwrap();
    let error = connect(&Options { credentials: Some(path), ..options(&server) }).await.unwrap_err();
    assert!(matches!(error, NatsError::Login { .. }), "{error}");
    assert!(error.to_string().contains("refuses the credentials in `"), "{error}");
}

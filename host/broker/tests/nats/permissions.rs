//! The server configuration of `host/docs/cluster`: it allows what roots and workers need, and
//! nothing else.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use frond_broker::nats::{NatsError, Options, connect};
use frond_testkit::Nats;
use tokio::sync::mpsc;

use crate::common::{introduce, options, pass};

const PASSWORDS: [(&str, &str); 3] = [
    ("FROND_ROOT_PASSWORD", "secret-of-root"),
    ("FROND_WORKER_1_PASSWORD", "secret-of-worker-1"),
    ("FROND_WORKER_2_PASSWORD", "secret-of-worker-2"),
];

fn server() -> Option<Nats> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../host/docs/cluster/nats.conf");
    Nats::start_with(&std::fs::read_to_string(path).unwrap(), &PASSWORDS)
}

fn login(server: &Nats, user: &str) -> Options {
    Options { user: Some(user.to_owned()), password: Some(format!("secret-of-{user}")), ..options(server) }
}

#[tokio::test]
async fn discovery_and_carriers_work_under_the_example() {
    let Some(server) = server() else { return };
    let mut root = connect(&login(&server, "root")).await.unwrap().root("the root").await.unwrap();
    for user in ["worker-1", "worker-2"] {
        let mut worker = connect(&login(&server, user)).await.unwrap().worker("a worker").await.unwrap();
        let (name, mut at_worker) = worker.next_root().await.unwrap();
        assert_eq!(name.id, root.id());
        let (name, mut at_root) = introduce(&at_worker, &mut root, "hello").await;
        assert_eq!(name, *worker.name());
        assert_eq!(&*name.name, user);
        pass(&at_root, &mut at_worker, "welcome").await;
        pass(&at_worker, &mut at_root, "thanks").await;
    }
}

#[tokio::test]
async fn a_user_in_the_wrong_place_is_told_so() {
    let Some(server) = server() else { return };
    let error = connect(&login(&server, "worker-1")).await.unwrap().root("a root").await.unwrap_err();
    assert!(matches!(&error, NatsError::Forbidden { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("Permissions Violation") && text.contains("host/docs/cluster/nats.conf"), "{text}");
    assert!(text.contains("does not let the user `worker-1` do what a root of the pool `test` must"), "{text}");
    assert!(text.contains("(log in with a user of a root"), "{text}");
    let error = connect(&login(&server, "root")).await.unwrap().worker("a worker").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("does not let the user `root` do what a worker of the pool `test` must"), "{text}");
    assert!(text.contains("(log in with a user of a worker"), "{text}");
    // The name of another user, with the own password.
    let stolen = Options { user: Some("worker-2".to_owned()), ..login(&server, "worker-1") };
    assert!(matches!(connect(&stolen).await.unwrap_err(), NatsError::Login { .. }));
    let anonymous = Options { user: None, ..login(&server, "root") };
    assert!(matches!(connect(&anonymous).await.unwrap_err(), NatsError::Login { .. }));
}

/// Client of a user, and the errors that the server sends to it.
async fn observed(server: &Nats, user: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (errors, seen) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password(user.to_owned(), format!("secret-of-{user}"));
    let options = options.event_callback(move |event| {
        if let Event::ServerError(error) = event {
            let _ = errors.send(error.to_string());
        }
        std::future::ready(())
    });
    (options.connect(server.url()).await.unwrap(), seen)
}

#[tokio::test]
async fn all_else_is_forbidden() {
    let Some(server) = server() else { return };
    let worker = [
        "frond.test.roots",
        "frond.test.r.0123456789abcdef.worker-2.0123456789abcdef",
        "frond.test.r.0123456789abcdef.any.0123456789abcdef",
        "frond.test.r.0123456789abcdef.worker-1.0123456789abcdef.more",
        "frond.test.w.worker-1.0123456789abcdef.0123456789abcdef",
        "frond.test.w.worker-2.0123456789abcdef.0123456789abcdef",
        "$SYS.REQ.SERVER.PING",
        "$JS.API.INFO",
        "$JS.API.STREAM.CREATE.frond",
        "_INBOX.a",
        "other",
    ];
    let root = [
        "frond.test.hello",
        "frond.test.r.0123456789abcdef.worker-1.0123456789abcdef",
        "$SYS.REQ.SERVER.PING",
        "$JS.API.STREAM.CREATE.frond",
        "other",
    ];
    for (user, forbidden) in [("worker-1", &worker[..]), ("root", &root)] {
        let (client, mut seen) = observed(&server, user).await;
        for subject in forbidden {
            client.publish(*subject, Bytes::new()).await.unwrap();
            let error = seen.recv().await.unwrap();
            assert!(error.contains("Permissions Violation for Publish") && error.contains(subject), "{error}");
        }
    }
    let worker = [
        "frond.test.hello",
        "frond.test.w.worker-2.>",
        "frond.test.w.*.0123456789abcdef.*",
        "frond.test.w.>",
        "frond.test.r.>",
        "frond.test.r.*.worker-1.*",
        "frond.>",
        ">",
        "$SYS.>",
        "$JS.>",
        "_INBOX.>",
    ];
    let root = ["frond.test.roots", "frond.test.w.>", "frond.>", ">", "$SYS.>", "$JS.>"];
    for (user, forbidden) in [("worker-1", &worker[..]), ("root", &root)] {
        let (client, mut seen) = observed(&server, user).await;
        for subject in forbidden {
            let _subscriber = client.subscribe(*subject).await.unwrap();
            let error = seen.recv().await.unwrap();
            assert!(error.contains("Permissions Violation for Subscription") && error.contains(subject), "{error}");
        }
    }
    // A pause would prove nothing: an allowed subscription shows that no error is on its way.
    let (client, mut seen) = observed(&server, "worker-1").await;
    let _own = client.subscribe("frond.test.w.worker-1.>").await.unwrap();
    client.publish("other", Bytes::new()).await.unwrap();
    assert!(seen.recv().await.unwrap().contains("\"other\""));
    assert!(tokio::time::timeout(Duration::ZERO, seen.recv()).await.is_err());
}

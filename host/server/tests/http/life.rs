//! How a server starts and stops.

use std::time::Duration;

use frond_server::config::Time;
use frond_server::{Config, CutOff, Order};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::common::{PATIENCE, Server, config, query, read};

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_answered_before_it_stops() {
    let server = Server::start().await;
    assert_eq!(server.get("/readyz").await.status, 200);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(&query(&["sleep-ms:500"], "?deadline=30s", "")).await.unwrap();
    server.until("frond_leaves_running", 1.0).await;
    server.orders.send(Order::Stop).await.unwrap();
    let reply = read(client).await;
    assert_eq!((reply.status, reply.json()["count"].clone()), (200, 1.into()));
    let cut_off = tokio::time::timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert_eq!(cut_off, CutOff::default());
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_cut_off_and_named() {
    let mut settings = config();
    settings.limits.drain = Time(Duration::from_millis(100));
    let server = Server::with(settings).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(&query(&["spin"], "?deadline=60s", "")).await.unwrap();
    server.until("frond_leaves_running", 1.0).await;
    server.orders.send(Order::Stop).await.unwrap();
    let cut_off = tokio::time::timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert_eq!(cut_off.queries.len(), 1);
    assert!(cut_off.queries[0].ends_with(" of faulty"), "{cut_off:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let taken = Config { listen: server.address, ..config() };
    let error = frond_server::Starting::new(dir.path(), taken).await.err().unwrap().to_string();
    assert!(error.contains("another process listens there"), "{error}");
}

#[test]
fn printed_settings_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    let text = toml::to_string(&Config::default()).unwrap();
    std::fs::write(&file, &text).unwrap();
    assert_eq!(toml::to_string(&Config::read(&file).unwrap()).unwrap(), text);
    std::fs::write(&file, "[limits]\nconnection = 1\n").unwrap();
    let error = Config::read(&file).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("connections"), "{error}");
    std::fs::write(&file, "[limits]\nquery = \"16 apples\"\n").unwrap();
    assert!(Config::read(&file).unwrap_err().to_string().contains("16 apples"));
}

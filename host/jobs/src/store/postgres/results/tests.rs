//! Plans of the queries for a page.

use std::time::Duration;

use frond_testkit::Postgres;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::*;
use crate::store::postgres::{Options, PostgresStore};

#[tokio::test]
async fn pages_are_read_in_the_order_of_the_indexes() {
    let Some(server) = Postgres::start() else { return };
    let url = server.url("postgres");
    let long = Duration::from_secs(300);
    let options = Options { statement_timeout: long, patience: long, connect_timeout: long, ..Options::default() };
    drop(PostgresStore::open(&url.as_str().into(), options).await.unwrap());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    // As with many rows: what takes all of them is the last choice.
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off").await.unwrap();
    let explain = async |query: String| -> String {
        let query = (1..=5).fold(query, |query, number| query.replace(&format!("${number}"), &format!("{number}0")));
        let steps = client.simple_query(&format!("EXPLAIN {query}")).await.unwrap();
        let step = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        steps.iter().filter_map(step).collect::<Vec<_>>().join("\n")
    };
    let sizes = explain(sizes()).await;
    assert!(sizes.contains("Merge Append") && !sizes.contains("Seq Scan"), "{sizes}");
    assert!(sizes.contains("Index Cond: ((job = 10) AND (ROW(idx, begins) > ROW(20, 30)))"), "{sizes}");
    let page = explain(page()).await;
    assert!(page.contains("Index Cond: ((job = 10) AND (idx > 20) AND (idx <= 40))"), "{page}");
    assert!(page.contains("AND (ROW(idx, begins) > ROW(20, 30)) AND (ROW(idx, begins) <= ROW(40, 50)))"), "{page}");
    drop(client);
    connection.await.unwrap().unwrap();
}

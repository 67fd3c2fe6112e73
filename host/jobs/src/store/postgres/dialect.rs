//! Transactions on PostgreSQL, for the calls that both stores make in the same way.

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::store::rows::Columns;
use crate::store::rules::sql as number;
use crate::store::sql::{Sql, Value};
use crate::store::{Locator, PartitionPlan, StoreResult};

use super::session::Transaction;
use super::sizes::{chunks, size_of};

/// First of the two keys of advisory locks on callers.
const CALLERS: i32 = 0x4672_6E63;

impl Sql for Transaction<'_> {
    const LOCK: &'static str = "FOR UPDATE";
    const LOCK_FREE: &'static str = "FOR UPDATE OF jobs SKIP LOCKED";
    const LEAST: &'static str = "LEAST";
    const GREATEST: &'static str = "GREATEST";
    const FILES: bool = false;

    fn runnable() -> String {
        format!(
            "AND (CAST($3 AS TEXT) IS NULL OR planned = 0 OR {versions} \
                  OR (NOT {unable} AND EXISTS (SELECT 1 FROM artifacts \
                      WHERE artifacts.app = jobs.app AND artifacts.version = jobs.version)) \
                  OR COALESCE(started, queued) + run_timeout_ms <= {now})",
            versions = Self::among("version", 3),
            unable = Self::among("version", 4),
            now = Self::now(1)
        )
    }

    /// The database's time, unless a test has set one. It is the time of the statement, since the
    /// transaction may have waited for a row.
    fn now(parameter: u8) -> String {
        format!("COALESCE(${parameter}::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)")
    }

    // A list that is made once, so that an index on the column serves.
    fn among(column: &str, parameter: u8) -> String {
        format!("{column} = ANY (ARRAY(SELECT json_array_elements_text(${parameter}::text::json)))")
    }

    fn time(&self) -> Value<'static> {
        self.set.into()
    }

    async fn select<T: Send>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&dyn Columns) -> StoreResult<T> + Send,
    ) -> StoreResult<Vec<T>> {
        let rows = self.rows(sql, &parameters(values)).await?;
        rows.iter().map(|row| read(row)).collect()
    }

    async fn execute(&self, sql: &str, values: &[Value<'_>]) -> StoreResult<u64> {
        self.change(sql, &parameters(values)).await
    }

    async fn lock_caller(&self, caller: &str) -> StoreResult<()> {
        self.rows("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&CALLERS, &caller]).await.map(drop)
    }

    async fn add_partitions(&self, job: i64, partitions: &[PartitionPlan]) -> StoreResult<()> {
        let mut first = 0_i64;
        for chunk in chunks(partitions, size_of) {
            let indexes: Vec<i64> = (first..).take(chunk.len()).collect();
            first += number(chunk.len() as u64);
            let keys: Vec<_> = chunk.iter().map(|one| one.key.as_str()).collect();
            let weights: Vec<_> = chunk.iter().map(|one| number(one.weight)).collect();
            let places = chunk.iter().map(|one| match &one.place {
                Locator::Elsewhere(text) => (Some(text.as_str()), None),
                Locator::Inline(bytes) => (None, Some(&**bytes)),
            });
            let (texts, bytes): (Vec<_>, Vec<_>) = places.unzip();
            let insert = "INSERT INTO partitions (job, idx, key, weight, elsewhere, inline) \
                 SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bytea[])";
            self.change(insert, &[&job, &indexes, &keys, &weights, &texts, &bytes]).await?;
        }
        Ok(())
    }

    async fn add_events(&self, job: i64, first: i64, lines: &[String]) -> StoreResult<()> {
        let numbers: Vec<_> = (first..).take(lines.len()).collect();
        let insert = "INSERT INTO events (job, seq, line) SELECT $1, * FROM unnest($2::bigint[], $3::text[])";
        self.change(insert, &[&job, &numbers, &lines]).await.map(drop)
    }
}

fn parameters<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, of) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(number), &Type::INT8) => number.to_sql(of, out),
            (Self::Text(text), &Type::TEXT) => text.to_sql(of, out),
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(of, out),
            (value, of) => Err(format!("{value:?} is no {of}").into()),
        }
    }

    fn accepts(of: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(of)
    }

    to_sql_checked!();
}

//! Calls that both stores make in the same way, each in one transaction; and the interface to the
//! transactions of the two databases, with the words in which their SQL differs.

use std::future::Future;

use super::rows::{Columns, damaged};
use super::{PartitionPlan, StoreResult};

pub(crate) mod jobs;
pub(crate) mod owner;
pub(crate) mod parts;
pub(crate) mod results;
pub(crate) mod sweep;

/// Parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'v> {
    Null,
    Int(i64),
    Text(&'v str),
    Bytes(&'v [u8]),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(bytes: &'v [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Parameters of a statement, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from($value)),*] };
}

pub(crate) use values;

/// Transaction on one of the databases. Statements have parameters `$1`, `$2` and so on.
pub(crate) trait Sql {
    /// Clause that locks the selected rows until the end of the transaction.
    const LOCK: &'static str;
    /// Clause that locks the selected jobs, and leaves out those that others have locked.
    const LOCK_FREE: &'static str;
    /// Function for the smaller of two numbers.
    const LEAST: &'static str;
    /// Function for the larger of two numbers.
    const GREATEST: &'static str;
    /// True if large answers are in files, which the column `result_blob` names.
    const FILES: bool;
    /// Condition for the jobs that an owner can run, by the versions that it has, `$3`, and those
    /// that it cannot run, `$4`.
    fn runnable() -> String;

    /// Expression for the store's time, given [`Sql::time`] as the parameter of this number.
    fn now(parameter: u8) -> String;

    /// Condition that a column is one of the texts of a JSON list, the parameter of this number.
    fn among(column: &str, parameter: u8) -> String;

    /// Parameter of [`Sql::now`].
    fn time(&self) -> Value<'static>;

    /// Reads the rows of a statement.
    fn select<T: Send>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&dyn Columns) -> StoreResult<T> + Send,
    ) -> impl Future<Output = StoreResult<Vec<T>>> + Send;

    /// Runs a statement. Returns the number of rows that it changed.
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Keeps other processes from submitting jobs of this caller until the end of the transaction.
    fn lock_caller(&self, caller: &str) -> impl Future<Output = StoreResult<()>> + Send;

    /// Adds the partitions of a plan to the job with this row.
    fn add_partitions(&self, job: i64, partitions: &[PartitionPlan]) -> impl Future<Output = StoreResult<()>> + Send;

    /// Adds events, numbered from `first`, to the job with this row.
    fn add_events(&self, job: i64, first: i64, lines: &[String]) -> impl Future<Output = StoreResult<()>> + Send;
}

/// Reads the row of a statement that has at most one, if there is one.
async fn one<T: Send>(
    sql: &impl Sql,
    select: &str,
    values: &[Value<'_>],
    read: impl FnMut(&dyn Columns) -> StoreResult<T> + Send,
) -> StoreResult<Option<T>> {
    Ok(sql.select(select, values, read).await?.pop())
}

/// Reads the number in the column `name` of a statement's only row.
async fn number(sql: &impl Sql, name: &str, select: &str, values: &[Value<'_>]) -> StoreResult<u64> {
    one(sql, select, values, |row| row.count(name)).await?.ok_or_else(|| damaged(name))
}

/// List of texts as a parameter of [`Sql::among`].
fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<_> = texts.into_iter().map(|text| serde_json::Value::from(text.as_ref())).collect();
    serde_json::Value::from(texts).to_string()
}

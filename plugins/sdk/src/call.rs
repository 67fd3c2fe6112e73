//! Runtime of the macros: decodes the arguments, calls the author's function, and encodes its
//! result.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::rc::Rc;

use crate::{Coverage, Decode, Encode, Failure, Partition};

#[cfg(test)]
mod tests;

/// Does nothing. It mentions an exported type, so that a native build, which exports nothing, does
/// not warn of unused functions.
pub fn exported<T>() {}

/// Calls a leaf's function with the decoded query, and encodes its partial.
pub fn process<Q: Decode, P: Encode>(
    process: impl FnOnce(Q, Partition) -> Result<P, Failure>,
    query: Vec<u8>,
    partition: Partition,
) -> Result<Vec<u8>, Failure> {
    encoded("the partial", process(decoded(query)?, partition)?)
}

/// Calls a leaf's function with the state that `prepare` makes of the query, and encodes its
/// partial. An instance prepares a query once.
pub fn process_prepared<Q: Decode, S: 'static, P: Encode, F: FnOnce(Q) -> Result<S, Failure> + 'static>(
    prepare: F,
    process: impl FnOnce(&S, Partition) -> Result<P, Failure>,
    query: Vec<u8>,
    partition: Partition,
) -> Result<Vec<u8>, Failure> {
    let state = prepared(prepare, query)?;
    encoded("the partial", process(&state, partition)?)
}

/// State of the last prepared query.
struct Prepared {
    /// Type of the function that made the state.
    prepare: TypeId,
    query: Vec<u8>,
    state: Rc<dyn Any>,
}

thread_local! {
    static PREPARED: RefCell<Option<Prepared>> = const { RefCell::new(None) };
}

/// Returns the state of exactly this query and this function: the last one, or a new one.
fn prepared<Q: Decode, S: 'static, F: FnOnce(Q) -> Result<S, Failure> + 'static>(
    prepare: F,
    query: Vec<u8>,
) -> Result<Rc<S>, Failure> {
    let function = TypeId::of::<F>();
    let last = PREPARED.with_borrow(|last| {
        let same = last.as_ref().filter(|last| last.prepare == function && last.query == query)?;
        same.state.clone().downcast().ok()
    });
    if let Some(state) = last {
        return Ok(state);
    }
    let state = Rc::new(prepare(decoded(query.clone())?)?);
    PREPARED.set(Some(Prepared { prepare: function, query, state: state.clone() }));
    Ok(state)
}

/// Calls a merge function with the decoded query and partials, and encodes the merged partial.
pub fn merge<Q: Decode, P: Decode + Encode>(
    merge: impl FnOnce(Q, Vec<P>) -> Result<P, Failure>,
    query: Vec<u8>,
    partials: Vec<Vec<u8>>,
) -> Result<Vec<u8>, Failure> {
    let query = decoded(query)?;
    let mut values = Vec::with_capacity(partials.len());
    for (position, bytes) in partials.into_iter().enumerate() {
        values.push(partial(bytes, || format!("partial {position}"))?);
    }
    encoded("the merged partial", merge(query, values)?)
}

/// Calls a finish function with the decoded query and merged partial, and encodes the answer.
pub fn finish<Q: Decode, P: Decode, A: Encode>(
    finish: impl FnOnce(Q, Option<P>, Coverage) -> Result<A, Failure>,
    query: Vec<u8>,
    merged: Option<Vec<u8>>,
    coverage: Coverage,
) -> Result<Vec<u8>, Failure> {
    let query = decoded(query)?;
    let merged = merged.map(|bytes| partial(bytes, || "the merged partial".to_owned())).transpose()?;
    encoded("the answer", finish(query, merged, coverage)?)
}

/// Calls a split function with the decoded query.
pub fn split<Q: Decode>(
    split: impl FnOnce(Q, u32) -> Result<Vec<Partition>, Failure>,
    query: Vec<u8>,
    wanted: u32,
) -> Result<Vec<Partition>, Failure> {
    split(decoded(query)?, wanted)
}

fn decoded<Q: Decode>(query: Vec<u8>) -> Result<Q, Failure> {
    Q::decode_query(query).map_err(Failure::InvalidQuery)
}

fn partial<P: Decode>(bytes: Vec<u8>, what: impl FnOnce() -> String) -> Result<P, Failure> {
    P::decode(bytes).map_err(|error| Failure::InvalidPartition(format!("{} cannot be read: {error}", what())))
}

/// Encodes a result. A value without an encoding is an invalid partition: a retry would fail again.
pub(crate) fn encoded(what: &str, value: impl Encode) -> Result<Vec<u8>, Failure> {
    value.encode().map_err(|error| Failure::InvalidPartition(format!("{what} cannot be written: {error}")))
}

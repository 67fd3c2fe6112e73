//! The benchmark's work as an Extism plugin: the trivial task, and a word count with the code of
//! Frond's leaf and merge.

use extism_pdk::{Error, FnResult, Json, plugin_fn};
use frond_plugin::{Decode, Encode};
use serde::{Deserialize, Serialize};
use wordcount::{Counts, scan};

/// A range of integers.
#[derive(Deserialize)]
pub struct Span {
    start: i64,
    end: i64,
}

/// A partial of pi: returned by the leaf and by the merge.
#[derive(Default, Deserialize, Serialize)]
pub struct Sampled {
    samples: u64,
    hits: u64,
}

/// Runs the trivial task. Like pi's leaf, it reads a range of one integer from JSON, hashes the
/// integer, and writes JSON.
#[plugin_fn]
pub fn sample(Json(span): Json<Span>) -> FnResult<Json<Sampled>> {
    let stream = splitmix64(1);
    let hits =
        (span.start..span.end).map(|integer| u64::from(hit(splitmix64(stream.wrapping_add_signed(integer))))).sum();
    Ok(Json(Sampled { samples: span.end.abs_diff(span.start), hits }))
}

/// Adds up samples. Each is preceded by its length in eight bytes (little-endian).
#[plugin_fn]
pub fn add(parts: Vec<u8>) -> FnResult<Json<Sampled>> {
    let mut all = Sampled::default();
    for part in split(&parts)? {
        let Sampled { samples, hits } = Decode::decode(part.to_vec()).map_err(Error::msg)?;
        all = Sampled { samples: all.samples + samples, hits: all.hits + hits };
    }
    Ok(Json(all))
}

/// Counts the words of a text.
#[plugin_fn]
pub fn count(text: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(scan::count(&text).encode().map_err(Error::msg)?)
}

/// Merges counts. Each is preceded by its length in eight bytes (little-endian).
#[plugin_fn]
pub fn merge(parts: Vec<u8>) -> FnResult<Vec<u8>> {
    let mut all = Vec::new();
    for part in split(&parts)? {
        all.push(Counts::decode(part.to_vec()).map_err(Error::msg)?);
    }
    Ok(Counts::merge(all).and_then(Counts::encode).map_err(Error::msg)?)
}

fn split(mut rest: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (part, next) = after.split_at(usize::try_from(u64::from_le_bytes(*length))?);
        all.push(part);
        rest = next;
    }
    Ok(all)
}

fn hit(hash: u64) -> bool {
    let x = hash >> 33;
    let y = hash & 0x7fff_ffff;
    x * x + y * y < 1 << 62
}

fn splitmix64(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

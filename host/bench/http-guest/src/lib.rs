//! Handler for `wasmtime serve` that does the work of a leaf and its finish: takes one sample of pi
//! for a JSON query, and answers in JSON.

use serde::{Deserialize, Serialize};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

/// Guest of the HTTP benchmark, as `wasi:http` calls it.
struct Handler;

/// Query of the benchmark, as JSON.
#[derive(Deserialize)]
struct Query {
    seed: u64,
}

/// Answer of the benchmark, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Answer {
    pi: f64,
    samples: u64,
    hits: u64,
}

impl Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let query: Query = serde_json::from_slice(&body(&request)).expect("a query");
        let hits = u64::from(inside(query.seed));
        let answer = Answer { pi: 4.0 * hits as f64, samples: 1, hits };
        let answer = serde_json::to_vec(&answer).expect("plain numbers");
        let headers =
            Fields::from_list(&[("content-type".to_owned(), b"application/json".to_vec())]).expect("a header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("a body");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("a stream");
        stream.blocking_write_and_flush(&answer).expect("written");
        drop(stream);
        OutgoingBody::finish(body, None).expect("whole");
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("a body");
    let stream = body.stream().expect("a stream");
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(more) => all.extend(more),
            Err(StreamError::Closed) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Tests whether a seed's point in the unit square lies inside the quarter circle. The hash is of
/// the same kind as that of the plugin `pi`: a multiplication and shifts.
fn inside(seed: u64) -> bool {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = mixed ^ (mixed >> 31);
    let x = (mixed >> 32) as f64;
    let y = (mixed & 0xffff_ffff) as f64;
    let side = f64::from(u32::MAX);
    (x / side).powi(2) + (y / side).powi(2) <= 1.0
}

wasip2::http::proxy::export!(Handler);

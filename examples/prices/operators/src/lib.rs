//! Mock server of five railway operators, each with an HTTP API for its fares.
//!
//! `GET /{operator}/fare?from=London&to=York` returns `{"operator":"Albion","pounds":62}`, or 404
//! where the operator runs no train. Operators and fares are made up.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Table of fares: a header, then lines of `operator,from,to,pounds`.
const FARES: &str = include_str!("../data/fares.csv");

/// Query parameters: a journey.
#[derive(Deserialize)]
struct Journey {
    from: String,
    to: String,
}

/// Reply: an operator's fare.
#[derive(Serialize)]
struct Fare {
    operator: String,
    pounds: u64,
}

#[derive(Default)]
struct Operators {
    fares: HashMap<(String, String, String), u64>,
    silent: BTreeSet<String>,
}

/// Serves the APIs at `listener` until the future is dropped. The operators in `silent` accept
/// requests and never answer.
///
/// # Errors
/// Fails when no more connections can be accepted.
pub async fn serve(listener: TcpListener, silent: BTreeSet<String>) -> io::Result<()> {
    let operators = Arc::new(Operators { fares: fares(), silent });
    let router = Router::new().route("/{operator}/fare", get(fare)).with_state(operators);
    axum::serve(listener, router).await
}

fn fares() -> HashMap<(String, String, String), u64> {
    let row = |line: &str| {
        let mut cells = line.split(',').map(str::to_owned);
        let key = (cells.next()?, cells.next()?, cells.next()?);
        Some((key, cells.next()?.parse().ok()?))
    };
    FARES.lines().skip(1).filter_map(row).collect()
}

async fn fare(
    State(operators): State<Arc<Operators>>,
    Path(operator): Path<String>,
    Query(Journey { from, to }): Query<Journey>,
) -> Result<Json<Fare>, StatusCode> {
    if operators.silent.contains(&operator) {
        std::future::pending::<()>().await;
    }
    let key = (operator, from, to);
    let pounds = *operators.fares.get(&key).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Fare { operator: key.0, pounds }))
}

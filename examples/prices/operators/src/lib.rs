//! Five railway operators, each with an HTTP API for its fares: `GET /{operator}/fare?from=London&to=York` gives
//! `{"operator":"Albion","pounds":62}`, or 404 where it runs no train. Operators and fares are made up.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// `operator,from,to,pounds`, under a line of titles.
const FARES: &str = include_str!("../data/fares.csv");

/// A journey, as it is asked for.
#[derive(Deserialize)]
struct Journey {
    from: String,
    to: String,
}

/// A fare, as it is answered.
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

/// Answers at `listener` for as long as it is awaited. Operators that are `silent` take requests and never answer.
///
/// # Errors
/// When a connection can no longer be taken.
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

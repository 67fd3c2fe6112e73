//! Mock server of railway operators, each with an HTTP API for its fares: five with a table of
//! fares, or any number of made-up ones that serve every journey.
//!
//! `GET /{operator}/fare?from=London&to=York` returns `{"operator":"Albion","pounds":62}`, or 404
//! where the operator runs no train. `GET /operators` lists their names. Operators and fares are
//! made up.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

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

/// Settings of the server.
#[derive(Debug, Default)]
pub struct Settings {
    /// Operators that accept requests and never answer.
    pub silent: BTreeSet<String>,
    /// Number of made-up operators, which take the place of the five.
    pub made_up: Option<u32>,
    /// Time that each fare takes.
    pub delay: Duration,
    /// Number of requests for fares that are answered together: none of them before all have come.
    pub together: Option<usize>,
}

/// Operators and their fares.
struct Operators {
    settings: Settings,
    names: Vec<String>,
    fares: HashMap<(String, String, String), u64>,
    group: Barrier,
}

fn router(settings: Settings) -> Router {
    let fares = fares();
    let names = match settings.made_up {
        Some(count) => (1..=count).map(|number| format!("Operator {number}")).collect(),
        None => fares.keys().map(|(operator, ..)| operator.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
    };
    let group = Barrier::new(settings.together.unwrap_or(1));
    let operators = Arc::new(Operators { settings, names, fares, group });
    Router::new().route("/operators", get(names_of)).route("/{operator}/fare", get(fare)).with_state(operators)
}

/// Serves the APIs at `listener` until the future is dropped.
///
/// # Errors
/// Fails when no more connections can be accepted.
pub async fn serve(listener: TcpListener, settings: Settings) -> io::Result<()> {
    axum::serve(listener, router(settings)).await
}

fn fares() -> HashMap<(String, String, String), u64> {
    let row = |line: &str| {
        let mut cells = line.split(',').map(str::to_owned);
        let key = (cells.next()?, cells.next()?, cells.next()?);
        Some((key, cells.next()?.parse().ok()?))
    };
    FARES.lines().skip(1).filter_map(row).collect()
}

impl Operators {
    fn pounds(&self, operator: &str, journey: Journey) -> Option<u64> {
        match self.settings.made_up {
            // Any fares will do: these differ, and cost no table.
            Some(count) => {
                let number: u32 = operator.strip_prefix("Operator ")?.parse().ok()?;
                (1..=count).contains(&number).then_some(40 + u64::from(number) * 37 % 100)
            }
            None => self.fares.get(&(operator.to_owned(), journey.from, journey.to)).copied(),
        }
    }
}

async fn names_of(State(operators): State<Arc<Operators>>) -> Json<Vec<String>> {
    Json(operators.names.clone())
}

async fn fare(
    State(operators): State<Arc<Operators>>,
    Path(operator): Path<String>,
    Query(journey): Query<Journey>,
) -> Result<Json<Fare>, StatusCode> {
    if operators.settings.silent.contains(&operator) {
        std::future::pending::<()>().await;
    }
    if !operators.settings.delay.is_zero() {
        tokio::time::sleep(operators.settings.delay).await;
    }
    operators.group.wait().await;
    let pounds = operators.pounds(&operator, journey).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Fare { operator, pounds }))
}

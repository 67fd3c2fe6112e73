//! One test suite for both stores, and faults specific to each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a mistake in a test's set-up should stop the test where it is"
)]

/// Makes each function, which takes a [`kit::Bench`], a test of both stores.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::kit::Bench::sqlite()).await;
            })+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(bench) = crate::kit::Bench::postgres().await {
                    super::$name(bench).await;
                }
            })+
        }
    };
}

mod callers;
mod cancelling;
#[cfg(feature = "postgres")]
mod clocks;
mod ending;
mod forgetting;
mod kit;
mod model;
#[cfg(feature = "postgres")]
mod on_postgres;
mod on_sqlite;
mod owning;
mod random;
#[cfg(feature = "postgres")]
mod reaching;
mod results;
#[cfg(feature = "postgres")]
mod server;
mod submitting;

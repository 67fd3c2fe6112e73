//! Hot swap: a plugin is replaced while queries run, and the longest latency of a query is
//! measured.
#![allow(clippy::indexing_slicing, reason = "what a JSON value lacks is null")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;

use super::load::{Loaded, closed};
use super::servers::{ONE, Server};
use super::talk::json;
use crate::bench::Bench;
use crate::report::ms;

pub(super) fn run(bench: &mut Bench, frond: &Server) -> anyhow::Result<()> {
    let time = bench.seconds(4);
    let quiet = closed(frond.address, &ONE.query(), 4, time)?;
    let over = AtomicBool::new(false);
    let (swapped, swap_times) = thread::scope(|scope| {
        let swaps = scope.spawn(|| swap(&bench.guests.pi, frond, &over));
        let swapped = closed(frond.address, &ONE.query(), 4, time);
        over.store(true, Ordering::SeqCst);
        let swap_times = swaps.join().map_err(|_| anyhow!("whoever swaps was lost"))??;
        Ok::<_, anyhow::Error>((swapped?, swap_times))
    })?;
    ensure!(quiet.failed + swapped.failed == 0 && swapped.share_missed() <= 0.0, "queries were lost in a swap");
    let row = |name: &str, loaded: &Loaded| {
        vec![name.to_owned(), ms(loaded.answered(0.5)), ms(loaded.answered(0.99)), ms(loaded.answered(1.0))]
    };
    let rows = [row("no swap", &quiet), row("swap after swap", &swapped)];
    bench.report.table(&["one-partition queries, 4 connections", "p50 ms", "p99 ms", "worst ms"], &rows);
    let mean = swap_times.iter().sum::<f64>() / swap_times.len().max(1) as f64;
    bench.report.note(&format!(
        "{} swaps, each served {} ms after its file was there (200 ms of them to see that it is still); no query was lost.",
        swap_times.len(),
        ms(mean)
    ));
    Ok(())
}

/// Replaces the app's component again and again until `over`. Returns the time from each
/// replacement until it served, in seconds.
fn swap(component: &[u8], frond: &Server, over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    let mut before = version(frond)?;
    while !over.load(Ordering::SeqCst) {
        let start = Instant::now();
        frond.replace(&ONE, &marked(component, times.len()))?;
        loop {
            let now = version(frond)?;
            if now != before {
                before = now;
                break;
            }
            ensure!(start.elapsed() < Duration::from_secs(60), "a swap was not taken: {}", app(frond)?);
            thread::sleep(Duration::from_millis(5));
        }
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// Returns the component with an additional custom section, which gives it another digest.
fn marked(component: &[u8], number: usize) -> Vec<u8> {
    let mark = format!("\u{4}mark{number:08}");
    let mut marked = component.to_vec();
    marked.push(0);
    marked.push(u8::try_from(mark.len()).unwrap_or(0));
    marked.extend_from_slice(mark.as_bytes());
    marked
}

fn app(frond: &Server) -> anyhow::Result<Value> {
    json(frond.address, "GET", &format!("/v1/apps/{}", ONE.name), b"")
}

fn version(frond: &Server) -> anyhow::Result<u64> {
    app(frond)?["serving"]["number"].as_u64().context("an app that does not serve")
}

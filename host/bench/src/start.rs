//! Start-up time of a component: compiled, and loaded from the cache.

use std::time::Instant;

use frond_root::call::Limits;
use frond_sandbox::component::Origin;
use frond_sandbox::{Metering, Plugin, Role, Sandbox, Settings};

use crate::bench::Bench;
use crate::guests::top;
use crate::measure::median;
use crate::report::{Bound, ms};

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Start: a component made ready");
    let cache = tempfile::tempdir()?;
    let pi = bench.guests.pi.clone();
    let wordcount = bench.guests.wordcount.clone();
    let mut guests = vec![("pi", &wordcount, &pi, 1.0), ("wordcount", &pi, &wordcount, 1.0)];
    // An interpreter is a large component. `make guests-python` builds it; without it the row is
    // left out.
    let python = std::fs::read(top().join("target/plugins/python/rail_leaf.wasm")).ok();
    guests.extend(python.as_ref().map(|python| ("rail in Python", &pi, python, 30.0)));
    let mut rows = Vec::new();
    for (name, first, component, most) in guests {
        let mut compiled = Vec::new();
        let mut cached = Vec::new();
        let mut engines = Vec::new();
        // Compiling an interpreter takes most of a minute.
        let rounds = if component.len() > 4 << 20 { 1 } else { bench.rounds(5) };
        for round in 0..rounds {
            let dir = cache.path().join(format!("{name}-{round}"));
            let settings = Settings {
                waiting: frond_sandbox::WAITING,
                slots: 2,
                limits: vec![Limits::default()],
                cache: Some(dir),
                compiler: frond_sandbox::Compiler::in_process(),
            };
            compiled.push(load(&settings, first, component, Origin::Compiled)?.1);
            for _ in 0..bench.rounds(10) {
                let (engine, load) = load(&settings, first, component, Origin::Cached)?;
                engines.push(engine);
                cached.push(load);
            }
        }
        let [compiled, cached, engine] = [compiled, cached, engines].map(|all| median(all.into_iter()));
        rows.push(vec![name.to_owned(), format!("{}", component.len() / 1024), ms(compiled), ms(cached), ms(engine)]);
        let what = format!("{name}: ready from the cache");
        bench.report.target(what, cached * 1e3, "ms", Bound::AtMost(most));
    }
    bench.report.table(
        &["component", "KiB", "compiled, ms", "from the cache, ms", "first of a process, with its engine, ms"],
        &rows,
    );
    Ok(())
}

/// Loads two components into a new sandbox. Returns the load time of the first, including the
/// engine's start, and of the second, in seconds.
fn load(settings: &Settings, first: &[u8], component: &[u8], wanted: Origin) -> anyhow::Result<(f64, f64)> {
    let start = Instant::now();
    let sandbox = Sandbox::new(settings.clone())?;
    Plugin::load(&sandbox, first, &[Role::Leaf], Metering::Fuel)?;
    let engine = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let plugin = Plugin::load(&sandbox, component, &[Role::Leaf], Metering::Fuel)?;
    let load = start.elapsed().as_secs_f64();
    anyhow::ensure!(plugin.origin() == wanted, "the component was {:?}", plugin.origin());
    Ok((engine, load))
}

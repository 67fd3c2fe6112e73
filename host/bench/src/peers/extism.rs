//! Comparison with Extism, a library that calls functions of a WebAssembly module. Its guest is
//! built from the same word count.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use extism::{CompiledPlugin, Error, Function, Manifest, Plugin, PluginBuilder, UserData, ValType, Wasm};
use frond_root::call::Limits;
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef};

use pi::Sampled;

use super::ours::Ours;
use crate::bench::Bench;
use crate::floor::{Floor, Meters, Task};
use crate::guests::top;
use crate::machine::cores;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, ms, times, us};
use crate::scaling::on_threads as on_floors;

/// Time limit of a call. With a limit, Extism enforces a deadline on each call, as Frond does on
/// its leaves.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Lifetime of plugin instances.
#[derive(Clone, Copy)]
enum Life {
    /// A new instance for each call, as in Frond.
    Fresh,
    /// One instance for each thread. Its memory keeps the state of earlier calls.
    Reused,
}

pub(super) fn run(bench: &mut Bench, ours: &Ours) -> anyhow::Result<()> {
    let compiled = compile()?;
    let trivial = |life| trivial(&compiled, ours, life);
    let floor = || Floor::new(&bench.guests.pi, Meters::Both, Limits::default());
    let floors = (0..cores()).map(|_| floor()).collect::<anyhow::Result<Vec<_>>>()?;
    let floors: Vec<_> = floors.iter().collect();
    let tasks = rounds(
        bench.rounds(15),
        [
            Entrant::new("Frond", || ours.sample(&ours.trivial)),
            Entrant::new("Frond, an instance for a query and slot", || ours.sample(&ours.warm)),
            Entrant::new("Extism, a fresh instance each", || trivial(Life::Fresh)),
            Entrant::new("Extism, instances reused", || trivial(Life::Reused)),
            Entrant::new("bare wasmtime, a fresh instance each, not merged", || on_floors(&floors, &ours.tasks)),
        ],
    )?;
    let words = |life| words(&compiled, ours, life);
    let words = rounds(
        bench.rounds(7),
        [
            Entrant::new("Frond, unmetered", || ours.count(&ours.unmetered).map(drop)),
            Entrant::new("Frond, metered", || ours.count(&ours.words).map(drop)),
            Entrant::new("Extism, a fresh instance each", || words(Life::Fresh)),
            Entrant::new("Extism, instances reused", || words(Life::Reused)),
        ],
    )?;
    let row = |one: &Series, base: &Series, scale: fn(f64) -> String, parts: f64| {
        vec![one.name.clone(), scale(one.wall() / parts), scale(one.cpu() / parts), times(one.times(base))]
    };
    let [frond, warm, fresh, reused, _] = &tasks;
    let rows: Vec<_> = tasks.iter().map(|one| row(one, frond, us, super::ours::TASKS as f64)).collect();
    bench.report.table(&["1,000 trivial tasks", "wall µs/task", "CPU µs/task", "to Frond"], &rows);
    let [plain, ..] = &words;
    let rows: Vec<_> = words.iter().map(|one| row(one, plain, ms, 1.0)).collect();
    bench.report.table(&["word count of 64 MiB in 16 parts", "wall ms", "CPU ms", "to Frond"], &rows);
    let report = &mut bench.report;
    report.target("trivial tasks: Extism's fresh instances to Frond", fresh.times(frond), "×", Bound::AtLeast(10.0));
    report.target("trivial tasks: Frond, warm, to Extism's reused ones", warm.times(reused), "×", Bound::AtMost(1.0));
    let [_, metered, fresh, _] = &words;
    report.target("word count: Frond, metered, to Extism's fresh ones", metered.times(fresh), "×", Bound::AtMost(1.0));
    Ok(())
}

/// Compiles the guest. It imports WASI functions that Extism does not offer, but never calls them.
fn compile() -> anyhow::Result<CompiledPlugin> {
    let wasm = guest()?;
    let functions = stubs(&wasm)?;
    let manifest = Manifest::new([Wasm::data(wasm)]).with_timeout(TIMEOUT);
    CompiledPlugin::new(PluginBuilder::new(manifest).with_cache_disabled().with_functions(functions))
}

/// Builds the guest as a core module, with the flags of Frond's guests.
fn guest() -> anyhow::Result<Vec<u8>> {
    let target = top().join("target/plugins-extism");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(top().join("host/bench/extism-guest"));
    cargo.args(["rustc", "--quiet", "--release", "--target", "wasm32-wasip2", "--crate-type", "cdylib"]);
    cargo.arg("--target-dir").arg(&target).args(["--", "-C", "link-arg=--skip-wit-component"]);
    ensure!(cargo.status().context("cargo cannot be run")?.success(), "Extism's guest could not be built");
    Ok(fs::read(target.join("wasm32-wasip2/release/extism_guest.wasm"))?)
}

/// Makes a host function for every import that Extism does not provide. It fails when called.
fn stubs(wasm: &[u8]) -> anyhow::Result<Vec<Function>> {
    let mut types = Vec::new();
    let mut stubs = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    types.extend(group?.into_types().map(|one| one.composite_type.inner));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(index) = import.ty
                        && !import.module.starts_with("extism:")
                    {
                        let Some(CompositeInnerType::Func(kind)) = types.get(index as usize) else {
                            return Err(anyhow!("the import {} has no type", import.name));
                        };
                        stubs.push(stub(import.module, import.name, kind)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(stubs)
}

fn stub(module: &str, name: &str, kind: &wasmparser::FuncType) -> anyhow::Result<Function> {
    let types = |all: &[wasmparser::ValType]| all.iter().map(val_type).collect::<anyhow::Result<Vec<_>>>();
    let params = types(kind.params())?;
    let results = types(kind.results())?;
    let called = name.to_owned();
    let fail = move |_: &mut extism::CurrentPlugin, _: &[extism::Val], _: &mut [extism::Val], _: UserData<()>| {
        Err(Error::msg(format!("{called} was called")))
    };
    Ok(Function::new(name, params, results, UserData::new(()), fail).with_namespace(module))
}

fn val_type(of: &wasmparser::ValType) -> anyhow::Result<ValType> {
    Ok(match of {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        other => return Err(anyhow!("an import takes {other}")),
    })
}

/// Calls `function` on each input, on as many threads as cores, and returns the outputs in order.
fn on_threads(compiled: &CompiledPlugin, function: &str, inputs: &[&[u8]], life: Life) -> anyhow::Result<Vec<Vec<u8>>> {
    let share = inputs.len().div_ceil(cores()).max(1);
    thread::scope(|scope| {
        let part = |part| scope.spawn(move || one_thread(compiled, function, part, life));
        let running: Vec<_> = inputs.chunks(share).map(part).collect();
        let mut outputs = Vec::new();
        for one in running {
            outputs.extend(one.join().ok().context("a thread panicked")??);
        }
        Ok(outputs)
    })
}

fn one_thread(compiled: &CompiledPlugin, function: &str, inputs: &[&[u8]], life: Life) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut reused = match life {
        Life::Fresh => None,
        Life::Reused => Some(take_instance(compiled)?),
    };
    let mut outputs = Vec::with_capacity(inputs.len());
    for input in inputs {
        outputs.push(match &mut reused {
            Some(plugin) => plugin.call::<&[u8], Vec<u8>>(function, input)?,
            None => Plugin::new_from_compiled(compiled)?.call::<&[u8], Vec<u8>>(function, input)?,
        });
    }
    if let Some(plugin) = reused {
        lock().push(plugin);
    }
    Ok(outputs)
}

/// Pool of idle instances.
static IDLE: Mutex<Vec<Plugin>> = Mutex::new(Vec::new());

fn lock() -> std::sync::MutexGuard<'static, Vec<Plugin>> {
    frond_root::sync::lock(&IDLE)
}

fn take_instance(compiled: &CompiledPlugin) -> anyhow::Result<Plugin> {
    let idle = lock().pop();
    idle.map_or_else(|| Plugin::new_from_compiled(compiled), Ok)
}

fn trivial(compiled: &CompiledPlugin, ours: &Ours, life: Life) -> anyhow::Result<()> {
    let added = merged(compiled, ["sample", "add"], &ours.tasks, life)?;
    let added: Sampled = serde_json::from_slice(&added)?;
    ensure!(added == ours.sampled, "a peer samples {added:?}, native code {:?}", ours.sampled);
    Ok(())
}

fn words(compiled: &CompiledPlugin, ours: &Ours, life: Life) -> anyhow::Result<()> {
    ours.check(merged(compiled, ["count", "merge"], &ours.texts, life)?)
}

/// Calls the first of `functions` on each task, and the second on all outputs, each preceded by its
/// length.
fn merged(compiled: &CompiledPlugin, functions: [&str; 2], tasks: &[Task], life: Life) -> anyhow::Result<Vec<u8>> {
    let [each, all] = functions;
    let inputs: Vec<&[u8]> = tasks.iter().map(|task| &*task.data).collect();
    let mut parts = Vec::new();
    for part in on_threads(compiled, each, &inputs, life)? {
        parts.extend((part.len() as u64).to_le_bytes());
        parts.extend(part);
    }
    on_threads(compiled, all, &[&parts], life)?.into_iter().next().context("nothing was merged")
}

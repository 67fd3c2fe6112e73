//! Command line of `frond run-test`.

use std::path::PathBuf;

use clap::Args;

/// `frond run-test`.
#[derive(Debug, Args)]
#[command(after_help = "\
The program gets its arguments, its stdout and stderr, the time, random numbers, and the RUST_TEST_* variables; and
nothing else: no files, no network, no stdin. Its output passes byte by byte; on a terminal, all control
characters but line feeds, tabs and colours are shown instead of sent. RUST_TEST_NOCAPTURE=1 is set unless you set it:
without unwinding, the captured output of a failed test would be lost.

The limits are those of a leaf, and can be changed by environment variables:
  FROND_TEST_FUEL=1000000000   about one unit an instruction; 0 for no limit
  FROND_TEST_MEMORY=64MiB
  FROND_TEST_TIME=60s

Exit codes:
  0   all tests passed
  1   a test failed, or the program was stopped: stderr says why
  64  the file is not a program, or cannot be read

A failed assertion ends the whole program, as wasm has no unwinding here: with `cargo test`, the tests after it do not
run. `cargo nextest run` runs each test by itself. For the same reason Rust's harness ignores #[should_panic] tests on
this target: cargo test says so, nextest counts them as passed.

Example: in the .cargo/config.toml of a guest's crate
  [target.wasm32-wasip2]
  runner = \"frond run-test\"
and then
  cargo test --target wasm32-wasip2")]
pub struct RunTestArgs {
    /// A program: a component that exports wasi:cli/run, such as a test binary for wasm32-wasip2.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Arguments of the program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

//! Compiler that all sandboxes of this process share, and its limits from the environment.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use frond_app::size::{parse_duration, parse_size, show_size};
use frond_sandbox::{CompileLimits, Compiler};

static COMPILER: OnceLock<Compiler> = OnceLock::new();

/// Makes this process compile in child processes of `program`, under the limits of the environment.
/// `nice` is added to each child's nice value. Call it once, at the start.
///
/// # Errors
/// The message for a variable with a wrong value, with the remedy.
pub fn compile_in_children(program: PathBuf, nice: u8) -> Result<(), String> {
    let limits = limits(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))?;
    COMPILER.get_or_init(|| Compiler::in_children(program, CompileLimits { nice, ..limits }));
    Ok(())
}

/// Returns the compiler of this process: with child processes after [`compile_in_children`],
/// otherwise in this process.
#[must_use]
pub fn compiler() -> Compiler {
    COMPILER.get_or_init(Compiler::in_process).clone()
}

/// Reads the limits of a compilation from `FROND_COMPILE_MEMORY`, `FROND_COMPILE_CPU`,
/// `FROND_COMPILE_TIME` and `FROND_COMPILES`.
fn limits(env: impl Fn(&str) -> Option<String>) -> Result<CompileLimits, String> {
    let usual = CompileLimits::default();
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let wrong = |name: &str, error: &dyn std::fmt::Display| {
        format!("the environment variable {name} cannot be used: {error}\n(unset it for the default)")
    };
    let time = |name: &str, usual: Duration| match set(name) {
        Some(text) => match parse_duration(&text) {
            Ok(time) if time >= Duration::from_secs(1) => Ok(time),
            Ok(_) => Err(wrong(name, &"it must be one second at least")),
            Err(error) => Err(wrong(name, &error)),
        },
        None => Ok(usual),
    };
    let memory = match set("FROND_COMPILE_MEMORY") {
        Some(text) => match parse_size(&text) {
            Ok(size) if size >= MIN_MEMORY => size,
            Ok(_) => {
                let least = format!("it must be {} at least", show_size(MIN_MEMORY));
                return Err(wrong("FROND_COMPILE_MEMORY", &least));
            }
            Err(error) => return Err(wrong("FROND_COMPILE_MEMORY", &error)),
        },
        None => usual.memory,
    };
    let at_once = match set("FROND_COMPILES") {
        Some(text) => match text.parse::<usize>().map(NonZeroUsize::new) {
            Ok(Some(number)) => number,
            Ok(None) => return Err(wrong("FROND_COMPILES", &"it must be 1 at least")),
            Err(error) => return Err(wrong("FROND_COMPILES", &error)),
        },
        None => usual.at_once,
    };
    let cpu = time("FROND_COMPILE_CPU", usual.cpu)?;
    let time = time("FROND_COMPILE_TIME", usual.time)?;
    Ok(CompileLimits { memory, cpu, time, at_once, ..usual })
}

/// The least memory with which a compiler starts.
const MIN_MEMORY: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &'static str) -> Result<CompileLimits, String> {
        limits(move |one| (one == name).then(|| value.to_owned()))
    }

    #[test]
    fn each_variable_sets_its_limit_and_no_other() {
        let usual = CompileLimits::default();
        assert_eq!(of("", ""), Ok(usual));
        assert_eq!(of("FROND_COMPILE_MEMORY", "1 GiB"), Ok(CompileLimits { memory: 1 << 30, ..usual }));
        let half = Duration::from_secs(30);
        assert_eq!(of("FROND_COMPILE_CPU", "30s"), Ok(CompileLimits { cpu: half, ..usual }));
        assert_eq!(of("FROND_COMPILE_TIME", "30s"), Ok(CompileLimits { time: half, ..usual }));
        let at_once = NonZeroUsize::MIN;
        assert_eq!(of("FROND_COMPILES", "1"), Ok(CompileLimits { at_once, ..usual }));
    }

    #[test]
    fn what_no_compiler_can_work_with_is_refused_with_the_variable() {
        let wrong = [
            ("FROND_COMPILE_MEMORY", "1 KiB"),
            ("FROND_COMPILE_MEMORY", "much"),
            ("FROND_COMPILE_CPU", "10ms"),
            ("FROND_COMPILE_TIME", "soon"),
            ("FROND_COMPILES", "0"),
        ];
        for (name, value) in wrong {
            let error = of(name, value).unwrap_err();
            assert!(error.contains(name) && error.contains("unset it"), "{error}");
        }
        let none = of("FROND_COMPILES", "0").unwrap_err();
        assert!(none.contains("cannot be used: it must be 1 at least\n"), "{none}");
    }
}

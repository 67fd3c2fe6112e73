//! Permits: the number of concurrent compilations, and the effect of a stop.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::tuning::Metering;

fn compiler(at_once: usize) -> Compiler {
    let at_once = NonZeroUsize::new(at_once).unwrap_or(NonZeroUsize::MIN);
    Compiler::in_children("/nowhere".into(), CompileLimits { at_once, ..CompileLimits::default() })
}

/// Takes permits for each key on a separate thread, and returns the most that were held at the same
/// time.
fn most_at_once(compiler: &Compiler, keys: &[&str]) -> usize {
    let held = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for key in keys {
            scope.spawn(|| {
                for _ in 0..100 {
                    let Ok(_permit) = compiler.permit((*key).to_owned()) else { return };
                    most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    held.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    most.into_inner()
}

#[test]
fn no_more_compilations_than_allowed_run_at_once() {
    assert!(most_at_once(&compiler(2), &["a", "b", "c", "d", "e", "f"]) <= 2);
    assert_eq!(most_at_once(&compiler(1), &["a", "b", "c"]), 1);
}

#[test]
fn one_component_is_never_compiled_twice_at_once() {
    assert_eq!(most_at_once(&compiler(8), &["a"; 8]), 1);
}

#[test]
fn a_stop_refuses_those_that_wait_and_those_that_come() {
    let compiler = compiler(1);
    let held = compiler.permit("a".to_owned());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| compiler.permit("b".to_owned()).map(drop));
        compiler.stop();
        assert!(matches!(waits.join(), Ok(Err(LoadError::Stopped))));
    });
    drop(held);
    assert!(matches!(compiler.permit("c".to_owned()).map(drop), Err(LoadError::Stopped)));
}

#[test]
fn a_compiler_that_cannot_be_started_is_not_the_components_fault() {
    let compiler = compiler(1);
    let permit = compiler.permit("a".to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let tuning = Tuning { metering: Metering::Fuel, frugal: None };
    let error = permit.compile(tuning, b"").unwrap_err().to_string();
    assert!(error.contains("the compiler could not be started"), "{error}");
}

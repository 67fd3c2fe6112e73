//! Report on a captured call and its replay.

use frond_sandbox::Trial;
use frond_test::advice::advice;
use frond_test::capture::Capture;

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text::{big, bytes, millis};
use super::trouble::Excerpt;

/// Returns true if the replay failed with the same kind of failure.
#[must_use]
pub fn is_same(capture: &Capture, trial: &Trial) -> bool {
    trial.result.as_ref().is_err_and(|failure| failure.kind == capture.failure.kind)
}

/// Reports the captured failure, the outcome of the replay, and whether it is the same.
#[must_use]
pub fn replayed(capture: &Capture, trial: &Trial, style: TermStyle) -> String {
    let mut page = Page::new(style);
    let head = format!("{}, partition {} `{}`", capture.app, capture.index, capture.key);
    page.line(Line::new().tone(Tone::Strong, head));
    page.wrapped(10, Line::new().put("captured  ").put(capture.failure.to_string()));
    match &trial.result {
        Err(failure) => {
            page.wrapped(10, Line::new().put("now       ").tone(Tone::Bad, failure.to_string()));
            Excerpt::of(failure).details(&mut page, 10);
            if let Some(advice) = advice(failure) {
                page.wrapped(10, Line::new().tone(Tone::Dim, format!("          ({advice})")));
            }
        }
        Ok(partial) => {
            let what = format!("a partial of {}", bytes(partial.len() as u64));
            page.wrapped(10, Line::new().put("now       ").tone(Tone::Good, what));
        }
    }
    let used = &trial.usage;
    let took = millis(frond_root::answer::millis(trial.took));
    let text = format!("used      {took}, fuel {}, memory {}", big(used.fuel), bytes(used.memory));
    page.line(Line::new().tone(Tone::Dim, text));
    let (tone, verdict) = if is_same(capture, trial) {
        (Tone::Good, "reproduced: it fails in the same way")
    } else {
        (Tone::Warn, "not reproduced")
    };
    page.line(Line::new().tone(tone, verdict));
    if !is_same(capture, trial) && !capture.deterministic {
        let why = "(clocks and randomness were real, nothing is granted here, and time depends on the machine)";
        page.wrapped(0, Line::new().tone(Tone::Dim, why));
    }
    page.into_text()
}

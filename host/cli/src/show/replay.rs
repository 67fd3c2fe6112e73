//! Report on a captured call and its replay.

use frond_sandbox::Trial;
use frond_test::advice::advice;
use frond_test::capture::{Capture, Replayed};

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text::{big, bytes, millis, pad, plural};
use super::trouble::Excerpt;

/// Reports the captured failure, the outcome of the replay, and whether it is the same.
#[must_use]
pub fn replayed(capture: &Capture, replayed: &Replayed, style: TermStyle) -> String {
    let mut page = Page::new(style);
    let head = format!("{}, partition {} `{}`", capture.app, capture.index, capture.key);
    page.line(Line::new().tone(Tone::Strong, head));
    page.wrapped(10, Line::new().put("captured  ").put(capture.failure.to_string()));
    outcome(&mut page, if replayed.after.is_some() { "alone" } else { "now" }, &replayed.alone);
    if let Some(after) = &replayed.after {
        outcome(&mut page, &format!("after {}", after.before), &after.trial);
    }
    verdict(&mut page, capture, replayed);
    page.into_text()
}

fn outcome(page: &mut Page, label: &str, trial: &Trial) {
    let label = pad(label, 10);
    match &trial.result {
        Err(failure) => {
            page.wrapped(10, Line::new().put(label).tone(Tone::Bad, failure.to_string()));
            Excerpt::of(failure).details(page, 10);
            if let Some(advice) = advice(failure) {
                page.wrapped(10, Line::new().tone(Tone::Dim, format!("          ({advice})")));
            }
        }
        Ok(partial) => {
            let what = format!("a partial of {}", bytes(partial.len() as u64));
            page.wrapped(10, Line::new().put(label).tone(Tone::Good, what));
        }
    }
    let used = &trial.usage;
    let took = millis(frond_root::answer::millis(trial.took));
    let text = format!("used      {took}, fuel {}, memory {}", big(used.fuel), bytes(used.memory));
    page.line(Line::new().tone(Tone::Dim, text));
}

fn verdict(page: &mut Page, capture: &Capture, replayed: &Replayed) {
    let same = capture.is_reproduced_by(replayed.last());
    let (tone, verdict) = match (same, &replayed.after) {
        (true, None) => (Tone::Good, "reproduced: it fails in the same way".to_owned()),
        (true, Some(after)) => {
            let others = plural(after.before as u64, "partition", "partitions");
            let ran = format!("after the {others} that ran before it in its instance");
            (Tone::Good, format!("reproduced {ran}: it fails in the same way, and alone it does not"))
        }
        (false, _) => (Tone::Warn, "not reproduced".to_owned()),
    };
    page.wrapped(0, Line::new().tone(tone, verdict));
    if !same && !capture.deterministic {
        let why = "(clocks and randomness were real, nothing is granted here, and time depends on the machine)";
        page.wrapped(0, Line::new().tone(Tone::Dim, why));
    }
    let dropped = capture.before.iter().filter(|call| call.file.is_none()).count() as u64;
    if !same && dropped > 0 {
        let calls = plural(dropped, "partition", "partitions");
        let why = format!("(the contents of the first {calls} that ran before it were not kept)");
        page.wrapped(0, Line::new().tone(Tone::Dim, why));
    }
}

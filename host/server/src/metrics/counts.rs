//! Counters by one label, `kind`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::register;

/// Label of an event's kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// Counters by one label, `kind`.
#[derive(Clone, Default)]
pub(crate) struct Counts(Family<Kind, Counter>);

impl Counts {
    pub(super) fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        Self(register::new(registry, name, help))
    }

    /// Adds 1.
    pub(crate) fn count(&self, kind: &'static str) {
        self.add(kind, 1);
    }

    pub(super) fn add(&self, kind: &'static str, count: u64) {
        self.0.get_or_create(&Kind { kind }).inc_by(count);
    }
}

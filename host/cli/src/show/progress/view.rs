//! Seam between the progress of a query and its displays: bar, lines, JSON.

use frond_root::Listener;

/// Display of a running query, fed by its events.
pub(super) trait View: Listener {
    /// Ends the display: removes the bar, or writes the buffered lines.
    fn finish(&self);
}

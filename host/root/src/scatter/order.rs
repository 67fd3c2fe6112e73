//! Order in which partitions are claimed.

use crate::plan::Plan;

/// Indexes to claim whole, if they differ from plan order: without those of which the journal has
/// something, unreadable ones first, then by falling weight if `heavy_first`.
pub(super) fn order(plan: &Plan, heavy_first: bool) -> Option<Vec<u32>> {
    let order = heavy_first.then(|| heaviest_first(plan)).flatten();
    let has_unreadable = plan.partitions().iter().any(|one| one.content.is_unreadable());
    if plan.stored().is_empty() && !has_unreadable {
        return order;
    }
    let mut order = order.unwrap_or_else(|| (0_u32..).take(plan.len()).collect());
    order.retain(|index| !plan.stored().has(*index));
    if has_unreadable {
        // An unreadable partition ends a query that requires it, before other leaves run. The sort
        // is stable.
        order.sort_by_key(|index| !plan.get(*index).is_some_and(|one| one.content.is_unreadable()));
    }
    Some(order)
}

/// Indexes by falling weight; `None` when all weights are equal.
fn heaviest_first(plan: &Plan) -> Option<Vec<u32>> {
    let weight = |index: &u32| plan.get(*index).map_or(0, |one| one.weight);
    let mut order: Vec<u32> = (0_u32..).take(plan.len()).collect();
    let first = order.first().map(weight)?;
    if order.iter().all(|index| weight(index) == first) {
        return None;
    }
    order.sort_by_key(|index| std::cmp::Reverse(weight(index)));
    Some(order)
}

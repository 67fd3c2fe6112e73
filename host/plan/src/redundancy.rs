//! Redundancy: every task goes to `d` servers at once, and the first to end it cancels the others.

/// Returns the mean response time of `k` servers with load `rho` each, exponential service of mean
/// 1 and `d` copies of each task: the sum of `1 / (k·C(k−1, d−1)/C(i−1, d−1) − k·rho)` for `i` from
/// `d` to `k` (Gardner et al. 2017, "Redundancy-d"). `None` unless `1 ≤ d ≤ k` and `0 ≤ rho < 1`.
#[must_use]
pub fn mean_response(k: u64, d: u64, rho: f64) -> Option<f64> {
    if d == 0 || d > k || !(0.0..1.0).contains(&rho) {
        return None;
    }
    let servers = k as f64;
    let mut ratio = 1.0;
    let mut sum = 0.0;
    for i in (d..=k).rev() {
        sum += 1.0 / (servers * ratio - servers * rho);
        if i > d {
            ratio *= (i - 1) as f64 / (i - d) as f64;
        }
    }
    Some(sum)
}

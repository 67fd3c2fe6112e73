//! The Universal Scalability Law: throughput that contention and coherence hold back.
//!
//! `X(n) = λ·n / (1 + σ·(n − 1) + κ·n·(n − 1))` (Gunther 1993), fitted by least squares of the
//! throughput, as Schwartz's usl4j does.

use serde::Serialize;

/// Least number of different concurrencies of a fit: one more than it has parameters.
pub const LEAST_POINTS: usize = 4;
/// Largest concurrency that a fit predicts, as a multiple of the largest measured one.
pub const REACH: f64 = 2.0;
/// Number of steps after which a fit ends.
const STEPS: u32 = 1_000;
/// Relative step below which a fit has converged.
const CONVERGED: f64 = 1e-13;

/// Throughput that was measured at a concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// Number of leaves at once.
    pub leaves: f64,
    /// Work per unit of time, such as queries a second.
    pub rate: f64,
}

/// Reason why throughputs have no fit.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum UslError {
    /// There are too few different concurrencies.
    #[error("a fit needs at least {LEAST_POINTS} different numbers of leaves, and there are {0}")]
    TooFew(usize),
    /// A concurrency is below 1, or a throughput is not above 0.
    #[error("{leaves} leaves with a throughput of {rate} cannot be: the first is at least 1, the second above 0")]
    Impossible {
        /// The concurrency.
        leaves: f64,
        /// The throughput.
        rate: f64,
    },
}

/// Fitted parameters with their standard errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usl {
    /// Throughput of one leaf.
    pub lambda: f64,
    /// Contention: share of the work that is serial.
    pub sigma: f64,
    /// Coherence: cost that grows with each pair of leaves.
    pub kappa: f64,
    /// Standard errors of `lambda`, `sigma` and `kappa`.
    pub errors: Parameters,
    /// Share of the variance of the throughputs that the fit explains (R²).
    pub explained: f64,
    /// Number of measured throughputs.
    pub points: usize,
    /// Largest measured concurrency.
    pub largest: f64,
}

/// One value for each parameter of the law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Parameters {
    /// Throughput of one leaf.
    pub lambda: f64,
    /// Contention.
    pub sigma: f64,
    /// Coherence.
    pub kappa: f64,
}

impl Usl {
    /// Fits the law. Contention and coherence are at least 0.
    ///
    /// # Errors
    /// [`UslError`] if there are too few or impossible measurements.
    pub fn fit(measured: &[Throughput]) -> Result<Self, UslError> {
        let wrong = measured
            .iter()
            .find(|one| !(one.leaves >= 1.0 && one.leaves.is_finite() && one.rate > 0.0 && one.rate.is_finite()));
        if let Some(Throughput { leaves, rate }) = wrong {
            return Err(UslError::Impossible { leaves: *leaves, rate: *rate });
        }
        let mut distinct: Vec<f64> = measured.iter().map(|one| one.leaves).collect();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        if distinct.len() < LEAST_POINTS {
            return Err(UslError::TooFew(distinct.len()));
        }
        let (found, free) = constrained(measured);
        let mean = measured.iter().map(|one| one.rate).sum::<f64>() / measured.len() as f64;
        let spread: f64 = measured.iter().map(|one| (one.rate - mean).powi(2)).sum();
        let rest = found.squares(measured);
        Ok(Self {
            lambda: found.lambda,
            sigma: found.sigma,
            kappa: found.kappa,
            errors: found.errors(measured, free),
            explained: if spread > 0.0 { 1.0 - rest / spread } else { 1.0 },
            points: measured.len(),
            largest: distinct.last().copied().unwrap_or(1.0),
        })
    }

    /// Returns the throughput at `leaves`. `None` past twice the largest measured concurrency,
    /// where the law is no more than a guess.
    #[must_use]
    pub fn throughput(&self, leaves: f64) -> Option<f64> {
        (leaves >= 0.0 && leaves <= self.largest * REACH).then(|| self.parameters().rate(leaves))
    }

    /// Returns the concurrency with the largest throughput. `None` if the throughput never falls.
    #[must_use]
    pub fn peak(&self) -> Option<u64> {
        (self.kappa > 0.0).then(|| (((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().floor() as u64).max(1))
    }

    fn parameters(&self) -> Parameters {
        Parameters { lambda: self.lambda, sigma: self.sigma, kappa: self.kappa }
    }
}

impl Parameters {
    fn slowdown(&self, n: f64) -> f64 {
        1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0)
    }

    fn rate(&self, n: f64) -> f64 {
        self.lambda * n / self.slowdown(n)
    }

    fn squares(&self, measured: &[Throughput]) -> f64 {
        measured.iter().map(|one| (one.rate - self.rate(one.leaves)).powi(2)).sum()
    }

    /// Derivatives of the throughput.
    fn slope(&self, n: f64) -> Self {
        let slowdown = self.slowdown(n);
        let lambda = n / slowdown;
        let sigma = -self.lambda * n * (n - 1.0) / (slowdown * slowdown);
        Self { lambda, sigma, kappa: sigma * n }
    }

    /// Standard errors, from the curvature of the sum of squares at its minimum.
    fn errors(&self, measured: &[Throughput], free: Free) -> Self {
        let degrees = (measured.len() as f64 - free.count()).max(1.0);
        let variance = self.squares(measured) / degrees;
        let inverse = Normal::of(self, measured, free).inverse_diagonal();
        let error = |part: f64, is_free: bool| if is_free { (variance * part).max(0.0).sqrt() } else { 0.0 };
        Self {
            lambda: error(inverse.lambda, true),
            sigma: error(inverse.sigma, free.sigma),
            kappa: error(inverse.kappa, free.kappa),
        }
    }
}

/// Parameters that a fit may change; the others are 0.
#[derive(Clone, Copy)]
struct Free {
    sigma: bool,
    kappa: bool,
}

impl Free {
    fn count(self) -> f64 {
        1.0 + f64::from(u8::from(self.sigma)) + f64::from(u8::from(self.kappa))
    }
}

/// Returns the best fit whose contention and coherence are not negative.
fn constrained(measured: &[Throughput]) -> (Parameters, Free) {
    let choices = [
        Free { sigma: true, kappa: true },
        Free { sigma: true, kappa: false },
        Free { sigma: false, kappa: true },
        Free { sigma: false, kappa: false },
    ];
    let mut best = None;
    for free in choices {
        let found = fitted(measured, free);
        if found.sigma < 0.0 || found.kappa < 0.0 {
            continue;
        }
        let squares = found.squares(measured);
        if best.as_ref().is_none_or(|(_, _, least)| squares < *least) {
            best = Some((found, free, squares));
        }
        if free.sigma && free.kappa {
            break;
        }
    }
    best.map_or((Parameters::default(), Free { sigma: false, kappa: false }), |(found, free, _)| (found, free))
}

/// Fits the free parameters by the method of Levenberg and Marquardt.
fn fitted(measured: &[Throughput], free: Free) -> Parameters {
    let mut now = Parameters {
        lambda: measured.iter().map(|one| one.rate / one.leaves).fold(0.0, f64::max),
        sigma: if free.sigma { 0.1 } else { 0.0 },
        kappa: if free.kappa { 1e-4 } else { 0.0 },
    };
    let mut squares = now.squares(measured);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let step = Normal::of(&now, measured, free).solve(damping);
        let next = Parameters {
            lambda: now.lambda + step.lambda,
            sigma: now.sigma + step.sigma,
            kappa: now.kappa + step.kappa,
        };
        let is_sound = next.lambda > 0.0 && measured.iter().all(|one| next.slowdown(one.leaves) > 0.0);
        let after = if is_sound { next.squares(measured) } else { f64::INFINITY };
        if after <= squares {
            let moved = (step.lambda / next.lambda).abs().max(step.sigma.abs()).max(step.kappa.abs());
            now = next;
            squares = after;
            damping = (damping / 10.0).max(1e-12);
            if moved < CONVERGED {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e15 {
                break;
            }
        }
    }
    now
}

/// Normal equations of one step, scaled so that the diagonal is 1.
struct Normal {
    scale: Parameters,
    /// Correlations: of lambda and sigma, lambda and kappa, sigma and kappa.
    ls: f64,
    lk: f64,
    sk: f64,
    gradient: Parameters,
}

impl Normal {
    fn of(at: &Parameters, measured: &[Throughput], free: Free) -> Self {
        let mut square = Parameters::default();
        let mut gradient = Parameters::default();
        let mut product = Parameters::default();
        for one in measured {
            let mut slope = at.slope(one.leaves);
            slope.sigma *= f64::from(u8::from(free.sigma));
            slope.kappa *= f64::from(u8::from(free.kappa));
            let rest = one.rate - at.rate(one.leaves);
            square.lambda += slope.lambda * slope.lambda;
            square.sigma += slope.sigma * slope.sigma;
            square.kappa += slope.kappa * slope.kappa;
            product.lambda += slope.sigma * slope.kappa;
            product.sigma += slope.lambda * slope.kappa;
            product.kappa += slope.lambda * slope.sigma;
            gradient.lambda += slope.lambda * rest;
            gradient.sigma += slope.sigma * rest;
            gradient.kappa += slope.kappa * rest;
        }
        let root = |value: f64| if value > 0.0 { value.sqrt() } else { 1.0 };
        let scale = Parameters { lambda: root(square.lambda), sigma: root(square.sigma), kappa: root(square.kappa) };
        Self {
            ls: product.kappa / (scale.lambda * scale.sigma),
            lk: product.sigma / (scale.lambda * scale.kappa),
            sk: product.lambda / (scale.sigma * scale.kappa),
            gradient: Parameters {
                lambda: gradient.lambda / scale.lambda,
                sigma: gradient.sigma / scale.sigma,
                kappa: gradient.kappa / scale.kappa,
            },
            scale,
        }
    }

    fn determinant(&self, diagonal: f64) -> f64 {
        let Self { ls, lk, sk, .. } = *self;
        diagonal * (diagonal * diagonal - sk * sk) - ls * (ls * diagonal - sk * lk) + lk * (ls * sk - diagonal * lk)
    }

    /// Solves the equations with the diagonal raised by `damping` (Cramer's rule).
    fn solve(&self, damping: f64) -> Parameters {
        let d = 1.0 + damping;
        let Self { ls, lk, sk, .. } = *self;
        let Parameters { lambda, sigma, kappa } = self.gradient;
        let whole = self.determinant(d);
        let first = lambda * (d * d - sk * sk) - ls * (sigma * d - sk * kappa) + lk * (sigma * sk - d * kappa);
        let second = d * (sigma * d - sk * kappa) - lambda * (ls * d - sk * lk) + lk * (ls * kappa - sigma * lk);
        let third = d * (d * kappa - sigma * sk) - ls * (ls * kappa - sigma * lk) + lambda * (ls * sk - d * lk);
        Parameters {
            lambda: first / whole / self.scale.lambda,
            sigma: second / whole / self.scale.sigma,
            kappa: third / whole / self.scale.kappa,
        }
    }

    fn inverse_diagonal(&self) -> Parameters {
        let whole = self.determinant(1.0);
        let part = |other: f64, scale: f64| (1.0 - other * other) / whole / (scale * scale);
        Parameters {
            lambda: part(self.sk, self.scale.lambda),
            sigma: part(self.lk, self.scale.sigma),
            kappa: part(self.ls, self.scale.kappa),
        }
    }
}

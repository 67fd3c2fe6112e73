//! Random numbers from a seed: the same on every machine.

/// Pseudo-random numbers (xoshiro256++), seeded by SplitMix64. One seed always gives the same
/// numbers, whatever the machine and the version of a library.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

/// Increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Finaliser of SplitMix64.
fn mixed(state: u64) -> u64 {
    let first = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ (second >> 31)
}

impl Random {
    /// The stream of a seed that belongs to this path, such as a query, a partition and an attempt.
    /// Streams of different paths are independent, so one change does not shift all others.
    #[must_use]
    pub fn of(seed: u64, path: &[u64]) -> Self {
        let mut state = mixed(seed.wrapping_add(GOLDEN));
        for step in path {
            state = mixed((state ^ step).wrapping_add(GOLDEN));
        }
        let mut next = || {
            state = state.wrapping_add(GOLDEN);
            mixed(state)
        };
        Self([next(), next(), next(), next()])
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, mut c, mut d] = self.0;
        let bits = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        c ^= a;
        d ^= b;
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        bits
    }

    /// A number from 0 up to, but without, 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number above 0 and at most 1.
    pub fn positive(&mut self) -> f64 {
        1.0 - self.unit()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number from `least` up to, but without, `end`; `least` if there is none.
    pub fn within(&mut self, least: u64, end: u64) -> u64 {
        let span = u128::from(end.saturating_sub(least));
        least + ((u128::from(self.bits()) * span) >> 64) as u64
    }

    /// A number of the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.positive()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// A number of the exponential distribution with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(self.positive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference() {
        // The first outputs of xoshiro256++ from the state 1, 2, 3, 4.
        let mut random = Random([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| random.bits()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn means_are_as_they_should_be() {
        let mut random = Random::of(1, &[2, 3]);
        let count = 200_000;
        let mean = |next: &mut dyn FnMut() -> f64| (0..count).map(|_| next()).sum::<f64>() / f64::from(count);
        assert!((mean(&mut || random.unit()) - 0.5).abs() < 0.003);
        assert!((mean(&mut || random.exponential()) - 1.0).abs() < 0.01);
        assert!(mean(&mut || random.normal()).abs() < 0.01);
        assert!((mean(&mut || random.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((0..1000).all(|_| (3..7).contains(&random.within(3, 7))));
    }
}

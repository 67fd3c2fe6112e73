//! Round-robin queue.

use std::collections::VecDeque;

/// Round-robin queue. A new entry is last.
#[derive(Debug)]
pub struct RoundRobin<T>(VecDeque<T>);

impl<T> Default for RoundRobin<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> RoundRobin<T> {
    /// Adds an entry, which is last.
    pub fn push(&mut self, one: T) {
        self.0.push_back(one);
    }

    /// True without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Offers the turn to each entry in order until `act` returns `Some`; all entries up to that
    /// one move to the end.
    pub fn take<R>(&mut self, act: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let (at, made) = self.0.iter().map(act).enumerate().find_map(|(at, made)| Some((at, made?)))?;
        self.0.rotate_left(at + 1);
        Some(made)
    }

    /// Removes and returns the entries that are `over`; the order of the others is unchanged.
    pub fn remove(&mut self, over: impl Fn(&T) -> bool) -> Vec<T> {
        let mut gone = Vec::new();
        self.0.retain(|one| {
            let over = over(one);
            gone.extend(over.then(|| one.clone()));
            !over
        });
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Come,
        /// Removes the entry at this fraction of the queue.
        Go(f64),
        Turn,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![Just(Step::Come), (0.0..1.0).prop_map(Step::Go), Just(Step::Turn), Just(Step::Turn)]
    }

    proptest! {
        #[test]
        fn nobody_has_two_turns_while_another_waits_for_one(steps in proptest::collection::vec(step(), 1..300)) {
            let mut turns = RoundRobin::default();
            // For each entry, the turns of every other entry since its own last one.
            let mut waits: HashMap<usize, HashMap<usize, usize>> = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Come => {
                        turns.push(number);
                        waits.insert(number, HashMap::new());
                    }
                    Step::Go(share) => {
                        let mut there: Vec<_> = waits.keys().copied().collect();
                        there.sort_unstable();
                        if let Some(one) = there.get((share * there.len() as f64) as usize).copied() {
                            prop_assert_eq!(turns.remove(|other| *other == one), [one]);
                            waits.remove(&one);
                        }
                    }
                    Step::Turn => {
                        let taken = turns.take(|one| Some(*one));
                        prop_assert_eq!(taken.is_none(), waits.is_empty());
                        let Some(taken) = taken else { continue };
                        waits.insert(taken, HashMap::new());
                        for (_, others) in waits.iter_mut().filter(|(one, _)| **one != taken) {
                            let turns = others.entry(taken).or_default();
                            *turns += 1;
                            prop_assert!(*turns <= 1);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_entry_that_declines_its_turn_moves_to_the_end() {
        let mut turns = RoundRobin::default();
        (0..4).for_each(|one| turns.push(one));
        assert_eq!(turns.take(|one| (*one == 2).then_some(*one)), Some(2));
        assert_eq!(turns.take(|one| Some(*one)), Some(3));
        assert_eq!(turns.take(|_| None::<i32>), None);
        assert_eq!(turns.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}

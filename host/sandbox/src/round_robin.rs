//! Who is next: each in turn, whoever comes and goes meanwhile.

use std::collections::VecDeque;

/// Those that take turns. Whoever comes is the last to have one.
#[derive(Debug)]
pub(crate) struct RoundRobin<T>(VecDeque<T>);

impl<T> Default for RoundRobin<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> RoundRobin<T> {
    pub(crate) fn push(&mut self, one: T) {
        self.0.push_back(one);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// The turn of the first that makes something of it. Those before it had theirs, too.
    pub(crate) fn take<R>(&mut self, act: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let (at, made) = self.0.iter().map(act).enumerate().find_map(|(at, made)| Some((at, made?)))?;
        self.0.rotate_left(at + 1);
        Some(made)
    }

    /// Takes out those that are `over`. The others' turns come as they would have.
    pub(crate) fn remove(&mut self, over: impl Fn(&T) -> bool) -> Vec<T> {
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
        /// The one at so much of the whole goes.
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
            // Who is there, with the turns that the others have had since its own.
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
                        let had = turns.take(|one| Some(*one));
                        prop_assert_eq!(had.is_none(), waits.is_empty());
                        let Some(had) = had else { continue };
                        waits.insert(had, HashMap::new());
                        for (_, others) in waits.iter_mut().filter(|(one, _)| **one != had) {
                            let turns = others.entry(had).or_default();
                            *turns += 1;
                            prop_assert!(*turns <= 1);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn who_makes_nothing_of_a_turn_has_had_it() {
        let mut turns = RoundRobin::default();
        (0..4).for_each(|one| turns.push(one));
        assert_eq!(turns.take(|one| (*one == 2).then_some(*one)), Some(2));
        assert_eq!(turns.take(|one| Some(*one)), Some(3));
        assert_eq!(turns.take(|_| None::<i32>), None);
        assert_eq!(turns.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}

//! Seeded draws without replacement.

use std::collections::BTreeMap;

use orchestrator_plugin::Random;

/// Hands out the places `0..n` in a random order, one at a time: a shuffle by Fisher and Yates that goes, and remembers,
/// only as far as it is asked.
pub(crate) struct Draw {
    random: Random,
    left: usize,
    /// What lies at a place that has been swapped.
    moved: BTreeMap<usize, usize>,
}

impl Draw {
    pub fn of(random: Random, n: usize) -> Self {
        Self {
            random,
            left: n,
            moved: BTreeMap::new(),
        }
    }
}

impl Iterator for Draw {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        let place = self.random.below(self.left);
        self.left -= 1;
        let last = self.moved.remove(&self.left).unwrap_or(self.left);
        if place == self.left {
            return Some(last);
        }
        Some(self.moved.insert(place, last).unwrap_or(place))
    }
}

/// `n` of the items in the order they are in, each set of them equally likely; all of them if there are fewer.
pub(crate) fn some<T>(random: Random, items: Vec<T>, n: usize) -> Vec<T> {
    let mut drawn: Vec<usize> = Draw::of(random, items.len()).take(n).collect();
    drawn.sort_unstable();
    let mut drawn = drawn.into_iter().peekable();
    items
        .into_iter()
        .enumerate()
        .filter_map(|(place, item)| drawn.next_if_eq(&place).map(|_| item))
        .collect()
}

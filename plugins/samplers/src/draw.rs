//! Seeded draws without replacement.

use orchestrator_plugin::Random;

/// `n` of the places `0..of`, each set of them equally likely, in ascending order; all of them if there are fewer.
pub(crate) fn places(random: &mut Random, n: usize, of: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..of).collect();
    let n = n.min(of);
    // The first n steps of a shuffle by Fisher and Yates.
    for place in 0..n {
        let other = place + random.below(of - place);
        all.swap(place, other);
    }
    all.truncate(n);
    all.sort_unstable();
    all
}

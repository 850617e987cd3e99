//! Numbers and texts that are functions of a seed, a purpose and a place: nothing depends on the order of drawing.

/// Words texts are made of: enough that texts differ, few enough that they look like a language.
const SYLLABLES: [&str; 24] = [
    "ra", "ten", "mi", "cor", "al", "ves", "in", "ther", "o", "pla", "su", "gen", "ki", "nase",
    "pro", "tein", "cel", "lu", "ex", "bri", "um", "fac", "tor", "ly",
];

/// A source of numbers.
pub(crate) struct Draw {
    seed: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    /// 64 bits.
    pub(crate) fn bits(&self, purpose: &str, place: u64) -> u64 {
        let purpose = purpose
            .bytes()
            .fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        mix(purpose ^ mix(place))
    }

    /// Below `end`.
    pub(crate) fn below(&self, purpose: &str, place: u64, end: usize) -> usize {
        (self.bits(purpose, place) % end.max(1) as u64) as usize
    }

    /// In [0, 1).
    pub(crate) fn share(&self, purpose: &str, place: u64) -> f64 {
        (self.bits(purpose, place) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal with mean 0 and deviation 1: a sum of four uniform numbers.
    pub(crate) fn normal(&self, purpose: &str, place: u64) -> f64 {
        let bits = self.bits(purpose, place);
        let sum: f64 = (0..4)
            .map(|n| f64::from((bits >> (16 * n)) as u16) / 65_536.0 - 0.5)
            .sum();
        sum * 3f64.sqrt()
    }

    /// A text of about `words` words.
    pub(crate) fn text(&self, purpose: &str, place: u64, words: usize) -> String {
        let mut state = self.bits(purpose, place);
        let mut next = |end: usize| {
            state = mix(state);
            (state >> 8) as usize % end
        };
        let words = words / 2 + next(words);
        let mut text = String::new();
        for number in 0..words {
            if number > 0 {
                text.push(' ');
            }
            for _ in 0..=next(3) {
                text.push_str(SYLLABLES[next(SYLLABLES.len())]);
            }
        }
        text.push('.');
        text
    }
}

/// The last steps of splitmix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

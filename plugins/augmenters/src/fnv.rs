//! FNV-1a: quick for short words, and the same in every run. Not for what strangers may choose.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map by words.
pub type WordMap<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

/// A set of words.
pub type WordSet<K> = HashSet<K, BuildHasherDefault<Fnv>>;

/// The hash so far.
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

//! Seeded unit vectors with structure: around a thousand centres, as embeddings of a corpus with topics lie.

use std::error::Error;
use std::path::Path;

use rayon::prelude::*;

use crate::files;

const CENTRES: u64 = 1000;
/// Vectors a piece.
const PIECE: usize = 1 << 14;

/// Writes `queries.f32`, `documents.f32` and `dim.json`.
pub fn make(
    folder: &Path,
    queries: usize,
    documents: usize,
    dim: usize,
) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let centres: Vec<f32> = (0..CENTRES).flat_map(|n| noise(1, n, dim)).collect();
    for (name, stream, n) in [("queries", 2, queries), ("documents", 3, documents)] {
        let numbers = (0..n).step_by(PIECE).flat_map(|first| {
            let some: Vec<Vec<f32>> = (first..(first + PIECE).min(n))
                .into_par_iter()
                .map(|number| vector(stream, number as u64, &centres, dim))
                .collect();
            some.into_iter().flatten()
        });
        files::write(&folder.join(format!("{name}.f32")), numbers)?;
    }
    Ok(std::fs::write(folder.join("dim.json"), dim.to_string())?)
}

fn vector(stream: u64, number: u64, centres: &[f32], dim: usize) -> Vec<f32> {
    let of = (mix(stream ^ mix(number)) % CENTRES) as usize;
    let mut vector = noise(stream, number, dim);
    for (value, centre) in vector.iter_mut().zip(&centres[of * dim..]) {
        *value += 0.6 * centre;
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

/// Nearly normal: sums of four uniform numbers.
fn noise(stream: u64, number: u64, dim: usize) -> Vec<f32> {
    let mut state = mix(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mix(number));
    let mut one = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = mix(state);
        let quarter = |n: u32| f32::from((bits >> (16 * n)) as u16) / 65_536.0 - 0.5;
        (quarter(0) + quarter(1)) + (quarter(2) + quarter(3))
    };
    (0..dim).map(|_| one()).collect()
}

/// The last steps of splitmix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//! The fast search gives what scoring every pair by `dot` gives, to the bit, ties and all, whatever the number of threads.
#![allow(clippy::unwrap_used)]

use orchestrator_engine::retrieval::{best, top_k};
use orchestrator_plugin_host::dot;

/// Numbers in -1..1 (splitmix64).
fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn unit(mut vectors: Vec<f32>, dim: usize) -> Vec<f32> {
    for one in vectors.chunks_exact_mut(dim) {
        let length = dot(one, one).sqrt();
        one.iter_mut().for_each(|value| *value /= length);
    }
    vectors
}

/// Document `n` is vector `n % distinct` of some.
fn repeated(vectors: Vec<f32>, dim: usize, times: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(vectors.len() * times);
    for _ in 0..times {
        all.extend_from_slice(&vectors);
    }
    assert_eq!(all.len() % dim, 0);
    all
}

fn bits(found: &[Vec<(usize, f32)>]) -> Vec<Vec<(usize, u32)>> {
    let of = |row: &Vec<(usize, f32)>| row.iter().map(|(n, score)| (*n, score.to_bits())).collect();
    found.iter().map(of).collect()
}

struct Case {
    name: &'static str,
    queries: Vec<f32>,
    documents: Vec<f32>,
    dim: usize,
}

fn cases() -> Vec<Case> {
    let case = |name, queries, documents, dim| Case {
        name,
        queries,
        documents,
        dim,
    };
    // Thirds of whole numbers: few distinct scores, whose bits depend on the order of the sum.
    let coarse = |seed, n| -> Vec<f32> {
        let round = |value: f32| (value * 1.5).round() / 3.0;
        noise(seed, n).into_iter().map(round).collect()
    };
    let mut one_long = noise(9, 3000 * 12);
    one_long[1500 * 12..1501 * 12]
        .iter_mut()
        .for_each(|value| *value *= 1e6);
    let mut apart = noise(12, 2000 * 16);
    for (n, document) in apart.chunks_exact_mut(16).enumerate() {
        let scale = 10f32.powi((n % 40) as i32 - 30);
        document.iter_mut().for_each(|value| *value *= scale);
    }
    let mut odd = noise(14, 700 * 8);
    (odd[9], odd[800], odd[801], odd[4000]) = (f32::NAN, f32::INFINITY, -f32::NAN, 3e38);
    vec![
        case(
            "random",
            unit(noise(1, 300 * 384), 384),
            unit(noise(2, 5183 * 384), 384),
            384,
        ),
        case("odd dimensions", noise(3, 70 * 13), noise(4, 2000 * 13), 13),
        case("one dimension", noise(5, 5), noise(6, 900), 1),
        case(
            "one query, several pieces",
            unit(noise(7, 33), 33),
            unit(noise(8, 70_001 * 33), 33),
            33,
        ),
        case("one long document", noise(10, 40 * 12), one_long, 12),
        case("lengths far apart", noise(11, 20 * 16), apart, 16),
        case(
            "tied scores",
            coarse(15, 50 * 24),
            coarse(16, 6000 * 24),
            24,
        ),
        case(
            "few distinct documents",
            unit(noise(17, 40 * 48), 48),
            repeated(unit(noise(18, 7 * 48), 48), 48, 900),
            48,
        ),
        case(
            "all documents the same",
            noise(19, 9 * 40),
            repeated(noise(20, 40), 40, 40_000),
            40,
        ),
        case("zero documents", noise(21, 3 * 8), vec![0.0; 5000 * 8], 8),
        case("zero queries", vec![0.0; 3 * 8], noise(22, 5000 * 8), 8),
        case("not finite", noise(13, 5 * 8), odd, 8),
        case("no queries", Vec::new(), noise(23, 40), 4),
        case("no documents", noise(24, 40), Vec::new(), 4),
    ]
}

#[test]
fn the_answer_is_that_of_scoring_every_pair_in_the_fixed_order() {
    for case in cases() {
        let rows = |all: &[f32]| {
            all.chunks_exact(case.dim)
                .map(<[f32]>::to_vec)
                .collect::<Vec<_>>()
        };
        let documents = rows(&case.documents);
        let scores: Vec<Vec<f32>> = rows(&case.queries)
            .iter()
            .map(|query| documents.iter().map(|one| dot(query, one)).collect())
            .collect();
        for k in [0, 1, 10, 257, 1000, 100_000] {
            let expected: Vec<_> = scores.iter().map(|one| best(one, k)).collect();
            let found = top_k(&case.queries, &case.documents, case.dim, k);
            assert!(bits(&found) == bits(&expected), "{}, k = {k}", case.name);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for case in cases() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let search = || top_k(&case.queries, &case.documents, case.dim, 20);
            bits(&pool.unwrap().install(search))
        };
        let one = with(1);
        assert!(
            [2, 3, 7].into_iter().all(|threads| with(threads) == one),
            "{}",
            case.name
        );
    }
}

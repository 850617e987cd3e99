//! UMAP (McInnes, Healy, Melville 2018): points in the plane such that neighbours stay neighbours. Neighbours are exact, and every
//! random choice is a hash of seed and place, so that equal rows and seeds give equal pictures for any number of threads: the
//! crates there are draw from a generator of each thread.

use rayon::prelude::*;

use super::picture::Point;
use crate::retrieval::top_k;
use crate::seed::mix;

/// Neighbours of a point.
pub(crate) const NEIGHBOURS: usize = 15;

/// Rounds over the edges, and how far the first goes: from nothing, and from a picture that is there.
const ROUNDS: [usize; 2] = [200, 100];
const FIRST: [f64; 2] = [1.0, 0.2];

/// Points that a point is pushed away from for each one it is drawn to.
const PUSHES: u64 = 5;

/// The curve `1 / (1 + A d^(2 B))` that is nearest to what umap-learn's default `min_dist` of 0.1 asks for.
const A: f64 = 1.576_943_460_405_378;
const B: f64 = 0.895_060_878_122_872_6;

/// The widest that a picture begins with.
const WIDTH: f64 = 10.0;

/// No move is longer in a coordinate.
const LONGEST: f64 = 4.0;

/// A pair of neighbours, and how surely they are.
struct Edge {
    from: usize,
    to: usize,
    weight: f64,
}

/// The nearest of each of some unit-length rows `[n, dim]` by cosine, without itself: places and distances `1 - cosine`.
pub(crate) fn neighbours(rows: &[f32], dim: usize, k: usize) -> Vec<Vec<(usize, f64)>> {
    let found = top_k(rows, rows, dim, k + 1);
    let without = |(place, found): (usize, Vec<(usize, f32)>)| {
        let others = found.into_iter().filter(|(other, _)| *other != place);
        let distance = |(other, cosine): (usize, f32)| (other, (1.0 - f64::from(cosine)).max(0.0));
        others.take(k).map(distance).collect()
    };
    found.into_iter().enumerate().map(without).collect()
}

/// Lays out as many points as there are lists of neighbours, from where they are to begin. `goes_on`: they are laid out already, for
/// other rows that are much like these.
pub(crate) fn layout(
    neighbours: &[Vec<(usize, f64)>],
    begin: &[Point],
    goes_on: bool,
    seed: u64,
) -> Vec<Point> {
    let n = neighbours.len();
    if n < 3 {
        return begin.to_vec();
    }
    let edges = graph(neighbours);
    let most = edges.iter().map(|edge| edge.weight).fold(0.0, f64::max);
    let mut points = if goes_on {
        begin.to_vec()
    } else {
        scaled(begin)
    };
    let rounds = ROUNDS[usize::from(goes_on)];
    // An edge takes part the oftener the surer it is.
    let every: Vec<f64> = edges.iter().map(|edge| most / edge.weight).collect();
    let mut due = every.clone();
    for round in 0..rounds {
        let size = FIRST[usize::from(goes_on)] * (1.0 - round as f64 / rounds as f64);
        for (place, edge) in edges.iter().enumerate() {
            if due[place] > round as f64 {
                continue;
            }
            due[place] += every[place];
            pull(&mut points, edge, size);
            for push in 0..PUSHES {
                let draw = mix(seed ^ mix((round as u64) << 40 | (place as u64) << 8 | push));
                let other = (draw % n as u64) as usize;
                if other != edge.from {
                    push_away(&mut points, edge.from, other, size);
                }
            }
        }
    }
    points
}

/// The fuzzy graph: an edge is there as surely as it is in one direction or the other, the nearest neighbour of each surely.
fn graph(neighbours: &[Vec<(usize, f64)>]) -> Vec<Edge> {
    let directed: Vec<Vec<(usize, f64)>> = neighbours
        .par_iter()
        .map(|near| {
            let (least, width) = smooth(near);
            let sure = |distance: f64| (-((distance - least).max(0.0) / width)).exp();
            near.iter()
                .map(|(other, distance)| (*other, sure(*distance)))
                .collect()
        })
        .collect();
    let back = |from: usize, to: usize| {
        let found = directed[to].iter().find(|(other, _)| *other == from);
        found.map_or(0.0, |(_, weight)| *weight)
    };
    let mut edges = Vec::new();
    for (from, near) in directed.iter().enumerate() {
        for (to, weight) in near {
            let other = back(from, *to);
            let weight = weight + other - weight * other;
            edges.push(Edge {
                from,
                to: *to,
                weight,
            });
            if other == 0.0 {
                edges.push(Edge {
                    from: *to,
                    to: from,
                    weight,
                });
            }
        }
    }
    edges.retain(|edge| edge.weight > 1e-3);
    edges.sort_by_key(|edge| (edge.from, edge.to));
    edges
}

/// The distance of the nearest, and the width at which all together count as the logarithm of their number.
fn smooth(near: &[(usize, f64)]) -> (f64, f64) {
    let positive = near
        .iter()
        .map(|(_, distance)| *distance)
        .filter(|one| *one > 0.0);
    let least = positive.clone().fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 0.0 };
    let wanted = (near.len().max(2) as f64).log2();
    let (mut low, mut high, mut width) = (0.0f64, f64::INFINITY, 1.0f64);
    for _ in 0..64 {
        let sum: f64 = near
            .iter()
            .map(|(_, distance)| (-((distance - least).max(0.0) / width)).exp())
            .sum();
        if (sum - wanted).abs() < 1e-5 {
            break;
        }
        if sum > wanted {
            high = width;
            width = (low + high) / 2.0;
        } else {
            low = width;
            width = if high.is_finite() {
                (low + high) / 2.0
            } else {
                width * 2.0
            };
        }
    }
    let mean = near.iter().map(|(_, distance)| distance).sum::<f64>() / near.len().max(1) as f64;
    (least, width.max(1e-3 * mean).max(1e-12))
}

/// Centred, and as wide as a picture begins with; points that lie on one another are parted a little.
fn scaled(begin: &[Point]) -> Vec<Point> {
    let n = begin.len() as f64;
    let centre = [0, 1].map(|axis| begin.iter().map(|point| point[axis]).sum::<f64>() / n);
    let far = |point: &Point| {
        (point[0] - centre[0])
            .abs()
            .max((point[1] - centre[1]).abs())
    };
    let widest = begin.iter().map(far).fold(0.0f64, f64::max).max(1e-12);
    let apart = |place: usize, axis: usize| {
        let draw = mix((place as u64) << 1 | axis as u64) >> 11;
        1e-3 * (draw as f64 / (1u64 << 53) as f64 - 0.5)
    };
    let at = |(place, point): (usize, &Point)| {
        [0, 1].map(|axis| (point[axis] - centre[axis]) / widest * WIDTH + apart(place, axis))
    };
    begin.iter().enumerate().map(at).collect()
}

fn pull(points: &mut [Point], edge: &Edge, size: f64) {
    let (from, to) = (points[edge.from], points[edge.to]);
    let [dx, dy] = [from[0] - to[0], from[1] - to[1]];
    let square = dx * dx + dy * dy;
    if square <= 0.0 {
        return;
    }
    let strength = -2.0 * A * B * square.powf(B - 1.0) / (1.0 + A * square.powf(B));
    for (axis, by) in [dx, dy].into_iter().enumerate() {
        let step = size * (strength * by).clamp(-LONGEST, LONGEST);
        points[edge.from][axis] += step;
        points[edge.to][axis] -= step;
    }
}

fn push_away(points: &mut [Point], from: usize, other: usize, size: f64) {
    let [dx, dy] = [
        points[from][0] - points[other][0],
        points[from][1] - points[other][1],
    ];
    let square = dx * dx + dy * dy;
    let strength = 2.0 * B / ((0.001 + square) * (1.0 + A * square.powf(B)));
    for (axis, by) in [dx, dy].into_iter().enumerate() {
        let step = if square > 0.0 {
            (strength * by).clamp(-LONGEST, LONGEST)
        } else {
            0.0
        };
        points[from][axis] += size * step;
    }
}

/// How far neighbours in the plane are neighbours in the rows, too: 1 = all (Venna, Kaski 2001). `ranked` are all other rows of each,
/// the nearest first.
pub(crate) fn trustworthiness(ranked: &[Vec<u32>], points: &[Point], k: usize) -> Option<f64> {
    let n = points.len();
    if 2 * n < 3 * k + 2 || k == 0 {
        return None;
    }
    let penalty = |place: usize| -> f64 {
        let mut rank = vec![0u32; n];
        for (number, other) in ranked[place].iter().enumerate() {
            rank[*other as usize] = number as u32 + 1;
        }
        let mut near: Vec<(f64, usize)> = (0..n)
            .filter(|other| *other != place)
            .map(|other| {
                let [dx, dy] = [0, 1].map(|axis| points[place][axis] - points[other][axis]);
                (dx * dx + dy * dy, other)
            })
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        near.select_nth_unstable_by(k - 1, order);
        let beyond = near[..k]
            .iter()
            .map(|(_, other)| rank[*other].saturating_sub(k as u32));
        f64::from(beyond.sum::<u32>())
    };
    let penalties: Vec<f64> = (0..n).into_par_iter().map(penalty).collect();
    let (n, k) = (n as f64, k as f64);
    Some(1.0 - 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)) * penalties.iter().sum::<f64>())
}

/// All other rows of each of some unit-length rows, the nearest first.
pub(crate) fn ranked(rows: &[f32], dim: usize) -> Vec<Vec<u32>> {
    let n = rows.len() / dim.max(1);
    let found = top_k(rows, rows, dim, n);
    let without = |(place, found): (usize, Vec<(usize, f32)>)| {
        let others = found.into_iter().map(|(other, _)| other as u32);
        others.filter(|other| *other as usize != place).collect()
    };
    found.into_iter().enumerate().map(without).collect()
}

//! Dot products of vectors as whole numbers of 16 bits, on x86-64 with AVX2 (`vpmaddwd`): pairs of numbers are multiplied
//! and added to sums of 32 bits. Vectors are scaled by their lengths so that no sum can overflow.

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast, f32x8, i16x16, i32x8};

use crate::kernel::{Bound, Hit, square};

/// The length of a scaled vector. Sums are at most its square, which is below 2^30 by far; numbers are below 2^15.
const LENGTH: f32 = 32_000.0;
/// Left vectors side by side in a panel: two registers of 8.
const PANEL: usize = 16;
/// Right vectors taken at a time: twelve registers of sums.
const GROUP: usize = 6;

/// One pair of numbers of each vector of a panel.
type Panel = [i16x16; 2];
/// One pair of numbers of each vector of a group.
type Group = [i32; GROUP];

/// Left vectors as whole numbers, and room for right ones.
pub(crate) struct Whole {
    simd: V3,
    dim: usize,
    rows: usize,
    /// `[panels, pairs]`.
    panels: Vec<Panel>,
    /// What makes a whole number of a left vector its own again.
    scales: Vec<f32>,
    /// `[groups, pairs]`.
    groups: Vec<Group>,
    scales_of_groups: Vec<f32>,
}

/// What scales a vector to `LENGTH`, and back.
#[inline(always)]
fn scales(vector: &[f32]) -> (f32, f32) {
    let length = square(vector).sqrt();
    if length > 0.0 {
        (LENGTH / length, length / LENGTH)
    } else {
        (0.0, 0.0)
    }
}

/// The nearest whole number: above 1.5 * 2^23 floats have no fractions.
#[inline(always)]
fn whole(value: f32) -> u16 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as u16
}

/// A pair of whole numbers, the first in the lower half.
#[inline(always)]
fn pair(numbers: &[f32], scale: f32) -> i32 {
    let second = numbers.get(1).map_or(0, |value| whole(value * scale));
    (u32::from(whole(numbers[0] * scale)) | u32::from(second) << 16).cast_signed()
}

impl Whole {
    /// Makes vectors ready, of lengths that f32 holds well; `None` without AVX2.
    pub fn of(left: &[f32], dim: usize) -> Option<Self> {
        let simd = V3::try_new()?;
        let (rows, pairs) = (left.len() / dim, dim.div_ceil(2));
        let mut panels = vec![[[0i32; 8]; 2]; rows.div_ceil(PANEL) * pairs];
        let mut scales_of_rows = vec![0.0; rows.next_multiple_of(PANEL)];
        for (row, vector) in left.chunks_exact(dim).enumerate() {
            let (scale, back) = scales(vector);
            scales_of_rows[row] = back;
            let panel = &mut panels[row / PANEL * pairs..][..pairs];
            for (place, numbers) in panel.iter_mut().zip(vector.chunks(2)) {
                place[row % PANEL / 8][row % 8] = pair(numbers, scale);
            }
        }
        Some(Self {
            simd,
            dim,
            rows,
            panels: panels.into_iter().map(|panel| panel.map(cast)).collect(),
            scales: scales_of_rows,
            groups: Vec::new(),
            scales_of_groups: Vec::new(),
        })
    }

    /// A number is off by half a unit, and by what f32 adds to it: each vector by `0.52 * sqrt(dim)` units of its
    /// `LENGTH`. Then some f32 roundings of the product.
    pub fn bound(dim: usize) -> Bound {
        let each = 0.52 * (dim as f64).sqrt() / f64::from(LENGTH);
        let unit = f64::from(f32::EPSILON) / 2.0;
        Bound {
            share: 2.0 * each + each * each + 16.0 * unit,
            least: 0.0,
        }
    }

    pub fn reaching(&mut self, right: &[f32], enter: &[f32], hits: &mut Vec<Hit>) {
        let rows = right.len() / self.dim;
        let simd = self.simd;
        simd.vectorize(Pack {
            right,
            dim: self.dim,
            groups: &mut self.groups,
            scales: &mut self.scales_of_groups,
        });
        simd.vectorize(Reaching {
            whole: self,
            rows,
            enter,
            hits,
        });
    }
}

/// Makes right vectors ready.
struct Pack<'a> {
    right: &'a [f32],
    dim: usize,
    groups: &'a mut Vec<Group>,
    scales: &'a mut Vec<f32>,
}

impl NullaryFnOnce for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (rows, pairs) = (self.right.len() / self.dim, self.dim.div_ceil(2));
        self.groups.clear();
        self.groups.resize(rows.div_ceil(GROUP) * pairs, [0; GROUP]);
        self.scales.clear();
        for (row, vector) in self.right.chunks_exact(self.dim).enumerate() {
            let (scale, back) = scales(vector);
            self.scales.push(back);
            let group = &mut self.groups[row / GROUP * pairs..][..pairs];
            let (twos, rest) = vector.as_chunks::<2>();
            for (place, numbers) in group.iter_mut().zip(twos) {
                place[row % GROUP] = pair(numbers, scale);
            }
            if let (Some(place), [_]) = (group.last_mut(), rest) {
                place[row % GROUP] = pair(rest, scale);
            }
        }
    }
}

/// Multiplies all, and keeps what reaches.
struct Reaching<'a> {
    whole: &'a Whole,
    rows: usize,
    enter: &'a [f32],
    hits: &'a mut Vec<Hit>,
}

impl NullaryFnOnce for Reaching<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Whole {
            simd,
            panels,
            groups,
            scales,
            ..
        } = self.whole;
        let pairs = self.whole.dim.div_ceil(2);
        for (number, panel) in panels.chunks_exact(pairs).enumerate() {
            let first = number * PANEL;
            // Lanes beyond the last vector reach nothing.
            let mut enter = [f32::INFINITY; PANEL];
            let of_panel = first..(first + PANEL).min(self.whole.rows);
            enter[..of_panel.len()].copy_from_slice(&self.enter[of_panel]);
            let of_panel = |half: usize| -> f32x8 {
                let mut eight = [0.0f32; 8];
                eight.copy_from_slice(&scales[first + half * 8..][..8]);
                cast(eight)
            };
            let of_panel = [of_panel(0), of_panel(1)];
            for (group_number, group) in groups.chunks_exact(pairs).enumerate() {
                let sums = multiply(*simd, panel, group);
                for (place, sums) in sums.into_iter().enumerate() {
                    let row = group_number * GROUP + place;
                    if row == self.rows {
                        break;
                    }
                    let scale = simd.splat_f32x8(self.whole.scales_of_groups[row]);
                    let score = |half: usize| -> [f32; 8] {
                        let sum = simd.convert_i32x8_to_f32x8(sums[half]);
                        cast(simd.mul_f32x8(simd.mul_f32x8(sum, of_panel[half]), scale))
                    };
                    let scores: [f32; PANEL] = cast([score(0), score(1)]);
                    let lanes = 0..PANEL;
                    if lanes
                        .clone()
                        .fold(false, |any, lane| any | (scores[lane] >= enter[lane]))
                    {
                        for lane in lanes {
                            if scores[lane] >= enter[lane] {
                                self.hits
                                    .push(((first + lane) as u32, row as u32, scores[lane]));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The sums of a panel with a group.
#[inline(always)]
fn multiply(simd: V3, panel: &[Panel], group: &[Group]) -> [[i32x8; 2]; GROUP] {
    let mut sums = [[simd.splat_i32x8(0); 2]; GROUP];
    for (left, right) in panel.iter().zip(group) {
        for (sums, &pair) in sums.iter_mut().zip(right) {
            let pair: i16x16 = cast(simd.splat_i32x8(pair));
            for (sum, &left) in sums.iter_mut().zip(left) {
                let products = simd.multiply_wrapping_add_adjacent_i16x16(left, pair);
                *sum = simd.wrapping_add_i32x8(*sum, products);
            }
        }
    }
    sums
}

//! Functions over rows of numbers. One plain body each, compiled for every level: elementwise, or summed in sixteen lanes
//! that are added in order, with multiply-adds fused where it says so; so the bits are the same at every level.

use super::Level;

/// Compiles one body for every level, and chooses when called.
macro_rules! levels {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)] // They are numbers and slices of one loop.
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            match Level::best() {
                // SAFETY: `best` is a level that this processor has.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { avx2($($arg),*) },
                Level::Plain => body($($arg),*),
            }
        }
    )*};
}

/// e^x for x ≤ 88 (above that it is e^88), within 2 units in the last place; 0 below -87.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Cephes' expf: x = n ln 2 + r, a polynomial in r, and n into the exponent.
    let x = x.clamp(-87.3, 88.0);
    // Adding 1.5 * 2^23 leaves a whole number in the lowest bits.
    let whole = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = whole - 12_582_912.0;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let p = 1.987_569_1e-4f32
        .mul_add(r, 1.398_199_9e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 0.166_666_66)
        .mul_add(r, 0.5)
        .mul_add(r * r, r)
        + 1.0;
    p * f32::from_bits(whole.to_bits().wrapping_add(127) << 23)
}

/// The error function, within 4e-7 (a ratio of polynomials, as Eigen's and XLA's).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = (-2.726_142e-10f32)
        .mul_add(s, 2.770_681_4e-8)
        .mul_add(s, -2.101_024e-6)
        .mul_add(s, -5.692_506_5e-5)
        .mul_add(s, -7.349_906_3e-4)
        .mul_add(s, -2.954_6e-3)
        .mul_add(s, -1.609_603_3e-2);
    let q = (-1.456_607_2e-5f32)
        .mul_add(s, -2.133_740_6e-4)
        .mul_add(s, -1.682_827e-3)
        .mul_add(s, -7.373_329e-3)
        .mul_add(s, -1.426_473_9e-2);
    x * p / q
}

/// Functions between the two products of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x), by the error function.
    Gelu,
    /// The same by a hyperbolic tangent (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// max(x, 0).
    Relu,
}

const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// 1 / sqrt(2 pi)
const BELL: f32 = 0.398_942_3;
/// sqrt(2 / pi)
const TANH_SCALE: f32 = 0.797_884_6;
const TANH_CUBE: f32 = 0.044_715;

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * ROOT_HALF))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    let inner = TANH_SCALE * (TANH_CUBE * x * x).mul_add(x, x);
    0.5 * x * (1.0 + tanh(inner))
}

/// Mixes the bits of a seed and a place (the finaliser of MurmurHash3).
#[inline(always)]
fn hash(seed: u32, place: u32) -> u32 {
    let mut h = seed ^ place.wrapping_mul(0x9e37_79b9);
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[inline(always)]
fn each(values: &mut [f32], of: impl Fn(f32) -> f32) {
    for x in values {
        *x = of(*x);
    }
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let phi = 0.5 * (1.0 + erf(x * ROOT_HALF));
    (x * BELL).mul_add(exp(-0.5 * x * x), phi)
}

#[inline(always)]
fn each_with(out: &mut [f32], from: &[f32], of: impl Fn(f32, f32) -> f32) {
    for (to, from) in out.iter_mut().zip(from) {
        *to = of(*to, *from);
    }
}

/// Sixteen sums, added in order.
#[inline(always)]
fn sum_of(values: &[f32], others: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (some, rest) = values.as_chunks::<16>();
    let (more, more_rest) = others.as_chunks::<16>();
    for (a, b) in some.iter().zip(more) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += of(*a, *b);
        }
    }
    let mut sum = lanes.iter().fold(0.0, |sum, lane| sum + lane);
    for (a, b) in rest.iter().zip(more_rest) {
        sum += of(*a, *b);
    }
    sum
}

#[inline(always)]
fn most_of(values: &[f32], start: f32, of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [start; 16];
    let (some, rest) = values.as_chunks::<16>();
    for a in some {
        for (lane, a) in lanes.iter_mut().zip(a) {
            let a = of(*a);
            *lane = if a > *lane { a } else { *lane };
        }
    }
    let most = lanes
        .iter()
        .fold(start, |most, lane| if *lane > most { *lane } else { most });
    rest.iter()
        .fold(most, |most, a| if of(*a) > most { of(*a) } else { most })
}

levels! {
    /// The largest absolute value; 0 of none.
    fn most(values: &[f32]) -> f32 {
        most_of(values, 0.0, f32::abs)
    }

    /// `out += from`
    fn add(out: &mut [f32], from: &[f32]) {
        each_with(out, from, |a, b| a + b);
    }

    /// `out *= from`
    fn times(out: &mut [f32], from: &[f32]) {
        each_with(out, from, |a, b| a * b);
    }

    /// `out *= factor`
    fn scale(out: &mut [f32], factor: f32) {
        for value in out { *value *= factor; }
    }

    /// Sum of products.
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum_of(a, b, |a, b| a * b)
    }

    /// `out = activation(from)`
    fn activate(out: &mut [f32], from: &[f32], kind: Activation) {
        match kind {
            Activation::Gelu => each_with(out, from, |_, x| gelu(x)),
            Activation::GeluTanh => each_with(out, from, |_, x| gelu_tanh(x)),
            Activation::Relu => each_with(out, from, |_, x| x.max(0.0)),
        }
    }

    /// `values = activation(values)`
    fn activate_here(values: &mut [f32], kind: Activation) {
        match kind {
            Activation::Gelu => each(values, gelu),
            Activation::GeluTanh => each(values, gelu_tanh),
            Activation::Relu => each(values, |x| x.max(0.0)),
        }
    }

    /// From a tile's sums of bytes to numbers: `out = bias + (sum - 128 * sum_of_column) * scale_of_row * scale_of_column`; left
    /// bytes are 128 more than what they stand for. Without a bias it is zero. Rows of `out` lie `ldo` values apart, those of
    /// the tile `width` words.
    fn from_bytes(
        out: &mut [f32], ldo: usize, bias: &[f32], tile: &[u32], width: usize, scales_of_rows: &[f32], scales: &[f32],
        sums: &[i32],
    ) {
        let n = scales.len();
        for ((out, tile), scale) in out.chunks_mut(ldo).zip(tile.chunks_exact(width)).zip(scales_of_rows) {
            let out = &mut out[..n];
            let values = tile.iter().zip(scales.iter().zip(sums)).map(|(sum, (of_column, offset))| {
                (sum.cast_signed() - 128 * offset) as f32 * (scale * of_column)
            });
            if bias.is_empty() {
                for (to, value) in out.iter_mut().zip(values) { *to = value; }
            } else {
                for ((to, bias), value) in out.iter_mut().zip(bias).zip(values) { *to = bias + value; }
            }
        }
    }

    /// Sets some values to zero, by a hash of the seed and their places, and multiplies the others by `factor`. A value
    /// stays if its hash is at least `threshold`.
    fn drop_out(values: &mut [f32], seed: u32, threshold: u32, factor: f32) {
        let (some, rest) = values.as_chunks_mut::<16>();
        let mut place = 0u32;
        for some in some {
            for (lane, x) in some.iter_mut().enumerate() {
                *x = if hash(seed, place + lane as u32) >= threshold { *x * factor } else { 0.0 };
            }
            place += 16;
        }
        for (lane, x) in rest.iter_mut().enumerate() {
            *x = if hash(seed, place + lane as u32) >= threshold { *x * factor } else { 0.0 };
        }
    }

    /// `slope *= activation'(from)`
    fn activate_slope(slope: &mut [f32], from: &[f32], kind: Activation) {
        match kind {
            Activation::Gelu => each_with(slope, from, |slope, x| slope * gelu_slope(x)),
            Activation::GeluTanh => each_with(slope, from, |slope, x| {
                let t = tanh(TANH_SCALE * (TANH_CUBE * x * x).mul_add(x, x));
                let inner = TANH_SCALE * (3.0 * TANH_CUBE * x).mul_add(x, 1.0);
                slope * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
            }),
            Activation::Relu => each_with(slope, from, |slope, x| if x > 0.0 { slope } else { 0.0 }),
        }
    }

    /// Softmax of `scores * scale`, in place; gives the logarithm of the sum with the highest in it, from which the row can
    /// be made again: `exp(score * scale - it)`.
    fn softmax(scores: &mut [f32], scale: f32) -> f32 {
        let most = most_of(scores, f32::NEG_INFINITY, |x| x) * scale;
        let (some, rest) = scores.as_chunks_mut::<16>();
        let mut lanes = [0.0f32; 16];
        for some in some {
            for (lane, x) in lanes.iter_mut().zip(some) {
                *x = exp(x.mul_add(scale, -most));
                *lane += *x;
            }
        }
        let mut sum = lanes.iter().fold(0.0, |sum, lane| sum + lane);
        for x in rest {
            *x = exp(x.mul_add(scale, -most));
            sum += *x;
        }
        let inverse = 1.0 / sum;
        for x in scores.iter_mut() { *x *= inverse; }
        most + sum.ln()
    }

    /// Makes such a row again from its scores.
    fn softmax_again(scores: &mut [f32], scale: f32, log_sum: f32) {
        let (some, rest) = scores.as_chunks_mut::<16>();
        for some in some {
            for x in some { *x = exp(x.mul_add(scale, -log_sum)); }
        }
        for x in rest { *x = exp(x.mul_add(scale, -log_sum)); }
    }

    /// Back through a softmax: `slopes = shares * (slopes - mean)`, where mean is the sum of shares * slopes.
    fn softmax_slope(slopes: &mut [f32], shares: &[f32], mean: f32) {
        each_with(slopes, shares, |slope, share| share * (slope - mean));
    }

    /// A row less its mean, divided by its deviation, in place; gives 1 / deviation.
    fn normalise(row: &mut [f32], epsilon: f32) -> f32 {
        let n = row.len() as f32;
        let mean = sum_of(row, row, |a, _| a) / n;
        for x in row.iter_mut() { *x -= mean; }
        let variance = sum_of(row, row, |a, b| a * b) / n;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for x in row.iter_mut() { *x *= inverse; }
        inverse
    }

    /// `out = row * gain + bias`
    fn stretch(out: &mut [f32], row: &[f32], gain: &[f32], bias: &[f32]) {
        for (((out, x), gain), bias) in out.iter_mut().zip(row).zip(gain).zip(bias) {
            *out = x.mul_add(*gain, *bias);
        }
    }

    /// Back through `stretch(normalise(x))`: `slope`, of the result, becomes that of x; those of gain and bias are added to.
    /// `row` is what `normalise` gave.
    fn normalise_slope(slope: &mut [f32], row: &[f32], inverse: f32, gain: &[f32], of_gain: &mut [f32], of_bias: &mut [f32]) {
        let n = row.len() as f32;
        for (((slope, x), of_gain), of_bias) in slope.iter().zip(row).zip(of_gain).zip(of_bias) {
            *of_gain += slope * x;
            *of_bias += slope;
        }
        for (slope, gain) in slope.iter_mut().zip(gain) { *slope *= gain; }
        let mean = sum_of(slope, slope, |a, _| a) / n;
        let along = sum_of(slope, row, |a, b| a * b) / n;
        for (slope, x) in slope.iter_mut().zip(row) {
            *slope = inverse * (*slope - mean - x * along);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its series, in f64.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn exponential_error_function_and_gelu_are_near_the_exact_ones() {
        for n in -8_000..=8_000 {
            let x = n as f32 / 100.0;
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found - exact).abs() <= 3e-7 * exact,
                "exp({x}): {found} {exact}"
            );
        }
        for n in -400..=400 {
            let x = n as f32 / 80.0;
            let (found, exact) = (f64::from(erf(x)), exact_erf(f64::from(x)));
            assert!((found - exact).abs() < 5e-7, "erf({x}): {found} {exact}");
            let gelu_at = |x: f64| 0.5 * x * (1.0 + exact_erf(x / 2f64.sqrt()));
            let slope = (gelu_at(f64::from(x) + 1e-5) - gelu_at(f64::from(x) - 1e-5)) / 2e-5;
            assert!(
                (f64::from(gelu_slope(x)) - slope).abs() < 2e-6,
                "gelu'({x})"
            );
        }
    }

    #[test]
    fn slopes_of_activations_agree_with_differences() {
        for kind in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            for x in [-3.0f32, -0.7, 0.2, 1.4, 5.0] {
                let at = |x: f32| {
                    let mut out = [0.0];
                    activate(&mut out, &[x], kind);
                    f64::from(out[0])
                };
                let mut slope = [1.0];
                activate_slope(&mut slope, &[x], kind);
                let expected = (at(x + 1e-2) - at(x - 1e-2)) / 2e-2;
                assert!(
                    (f64::from(slope[0]) - expected).abs() < 1e-3,
                    "{kind:?} at {x}"
                );
            }
        }
    }

    #[test]
    fn a_softmax_can_be_made_again_from_its_scores() {
        let scores: Vec<f32> = (0..37).map(|n| ((n * 7) % 13) as f32 - 6.0).collect();
        let (mut first, mut again) = (scores.clone(), scores);
        let log_sum = softmax(&mut first, 0.3);
        softmax_again(&mut again, 0.3, log_sum);
        assert!((first.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        for (a, b) in first.iter().zip(&again) {
            assert!((a - b).abs() < 1e-6 * a.max(1e-3));
        }
    }
}

//! The innermost loops of products: a tile of `M` rows by one panel of columns, in the processor's registers.
//!
//! Each value of the tile is one chain of fused multiply-adds over the contracted index, in its order, whatever the width of
//! the vectors: f32 products have the same bits on every processor. All unsafety of the crate is here and in the wrappers
//! that call these loops; each of them says what the caller has checked.

use super::Level;

/// Where the left factor's values lie, in words from its beginning: value `i` of step `k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `k * M + i`: packed for the tile.
    Packed,
    /// `i * LD + k`: rows of `LD` words.
    Rows,
    /// `k * LD + i`: columns, as rows of `LD` words.
    Columns,
}

/// How a product's words are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// One f32.
    F32,
    /// Two bfloat16.
    #[cfg(target_arch = "x86_64")]
    Bf16,
    /// Four bytes: without sign left, with sign right; sums are i32.
    Int8,
}

/// `(steps, left, right, (out, words from row to row), (base, words from row to row))`: what is written is the product added to
/// the base; a null base is zero.
///
/// # Safety
/// The processor has the features of the level; `left` may be read wherever the way leads in `steps` steps for M rows,
/// `right` for `steps` rows of the level's width, `out` written and the base read for M rows of that width.
pub(super) type Micro =
    unsafe fn(usize, *const u32, *const u32, (*mut u32, usize), (*const u32, usize));

/// Rows of the largest tile.
pub(super) const fn rows(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 14,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 6,
        Level::Plain => 4,
    }
}

/// Columns of a panel.
pub(super) const fn columns(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 32,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 16,
        Level::Plain => 16,
    }
}

const PACKED: u8 = 0;
const ROWS: u8 = 1;
const COLUMNS: u8 = 2;

/// Word `i` of step `k`, from the beginning.
#[inline(always)]
const fn place<const M: usize, const WAY: u8, const LD: usize>(i: usize, k: usize) -> usize {
    match WAY {
        PACKED => k * M + i,
        ROWS => i * LD + k,
        _ => k * LD + i,
    }
}

macro_rules! wide {
    ($name:ident, $features:literal, $lanes:literal, $acc:ty, $zero:expr, $load:expr, $splat:expr, $fused:expr, $add:expr, $read:expr, $write:expr) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const M: usize, const WAY: u8, const LD: usize>(
            steps: usize,
            left: *const u32,
            right: *const u32,
            (out, length): (*mut u32, usize),
            (base, apart): (*const u32, usize),
        ) {
            use core::arch::x86_64::*;
            let mut sums: [[$acc; 2]; M] = [[$zero; 2]; M];
            // SAFETY: the caller's promise about `left` and `right`: step k reads what the way says, and one row of a panel.
            unsafe {
                for k in 0..steps {
                    let b0 = $load(right.add(k * 2 * $lanes));
                    let b1 = $load(right.add(k * 2 * $lanes + $lanes));
                    for i in 0..M {
                        let a = $splat(left.add(place::<M, WAY, LD>(i, k)));
                        sums[i][0] = $fused(a, b0, sums[i][0]);
                        sums[i][1] = $fused(a, b1, sums[i][1]);
                    }
                }
            }
            // SAFETY: the caller's promise about `out` and the base.
            unsafe {
                for i in 0..M {
                    for half in 0..2 {
                        let mut sum = sums[i][half];
                        if !base.is_null() {
                            sum = $add($read(base.add(i * apart + half * $lanes)), sum);
                        }
                        $write(out.add(i * length + half * $lanes), sum);
                    }
                }
            }
        }
    };
}

wide!(
    f32_512,
    "avx512f",
    16,
    __m512,
    _mm512_setzero_ps(),
    |p: *const u32| _mm512_loadu_ps(p.cast()),
    |p: *const u32| _mm512_set1_ps(*p.cast::<f32>()),
    |a, b, c| _mm512_fmadd_ps(a, b, c),
    |a, b| _mm512_add_ps(a, b),
    |p: *const u32| _mm512_loadu_ps(p.cast()),
    |p: *mut u32, v| _mm512_storeu_ps(p.cast(), v)
);
wide!(
    bf16_512,
    "avx512f,avx512bf16",
    16,
    __m512,
    _mm512_setzero_ps(),
    |p: *const u32| core::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(p.cast())),
    |p: *const u32| core::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*p.cast::<i32>())),
    |a, b, c| _mm512_dpbf16_ps(c, a, b),
    |a, b| _mm512_add_ps(a, b),
    |p: *const u32| _mm512_loadu_ps(p.cast()),
    |p: *mut u32, v| _mm512_storeu_ps(p.cast(), v)
);
wide!(
    int8_512,
    "avx512f,avx512vnni",
    16,
    __m512i,
    _mm512_setzero_si512(),
    |p: *const u32| _mm512_loadu_si512(p.cast()),
    |p: *const u32| _mm512_set1_epi32(*p.cast::<i32>()),
    |a, b, c| _mm512_dpbusd_epi32(c, a, b),
    |a, b| _mm512_add_epi32(a, b),
    |p: *const u32| _mm512_loadu_si512(p.cast()),
    |p: *mut u32, v| _mm512_storeu_si512(p.cast(), v)
);
wide!(
    f32_256,
    "avx2,fma",
    8,
    __m256,
    _mm256_setzero_ps(),
    |p: *const u32| _mm256_loadu_ps(p.cast()),
    |p: *const u32| _mm256_set1_ps(*p.cast::<f32>()),
    |a, b, c| _mm256_fmadd_ps(a, b, c),
    |a, b| _mm256_add_ps(a, b),
    |p: *const u32| _mm256_loadu_ps(p.cast()),
    |p: *mut u32, v| _mm256_storeu_ps(p.cast(), v)
);

/// The same in plain Rust: of the compiler's vectors where it has them.
unsafe fn f32_plain<const M: usize, const WAY: u8, const LD: usize>(
    steps: usize,
    left: *const u32,
    right: *const u32,
    (out, length): (*mut u32, usize),
    (base, apart): (*const u32, usize),
) {
    let mut sums = [[0.0f32; 16]; M];
    for k in 0..steps {
        // SAFETY: the caller's promise about `right`: a row of a panel for each step.
        let b = unsafe { *right.add(k * 16).cast::<[f32; 16]>() };
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise about `left`.
            let a = unsafe { *left.add(place::<M, WAY, LD>(i, k)).cast::<f32>() };
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        let mut sums = *sums;
        if !base.is_null() {
            // SAFETY: the caller's promise about the base: f32 and u32 have the same size and alignment.
            let base = unsafe { *base.add(i * apart).cast::<[f32; 16]>() };
            for (sum, base) in sums.iter_mut().zip(base) {
                *sum += base;
            }
        }
        // SAFETY: the caller's promise about `out`.
        unsafe { *out.add(i * length).cast::<[f32; 16]>() = sums }
    }
}

/// Four bytes at a time in plain Rust: whole numbers, so the same sums as by any instruction. `WIDTH` is the panel's.
unsafe fn int8_plain<const M: usize, const WAY: u8, const WIDTH: usize>(
    steps: usize,
    left: *const u32,
    right: *const u32,
    (out, length): (*mut u32, usize),
    (base, apart): (*const u32, usize),
) {
    let mut sums = [[0i32; WIDTH]; M];
    for k in 0..steps {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise about `left`.
            let a = unsafe { *left.add(place::<M, WAY, 0>(i, k)) }.to_le_bytes();
            for (j, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise about `right`.
                let b = unsafe { *right.add(k * WIDTH + j) }.to_le_bytes();
                for (a, b) in a.iter().zip(b) {
                    *sum += i32::from(*a) * i32::from(b.cast_signed());
                }
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        for (j, sum) in sums.iter().enumerate() {
            let mut before = 0;
            if !base.is_null() {
                // SAFETY: the caller's promise about the base.
                before = unsafe { *base.add(i * apart + j) }.cast_signed();
            }
            // SAFETY: the caller's promise about `out`.
            unsafe { *out.add(i * length + j) = (before + sum).cast_unsigned() }
        }
    }
}

/// Every number of rows of a tile has its own loop.
macro_rules! by_rows {
    ($name:ident, [$($rows:literal)*], $way:expr, $ld:expr) => {
        [$($name::<$rows, { $way }, { $ld }>),*]
    };
}

macro_rules! by_way {
    ($name:ident, $rows:tt, $way:expr, $ld:expr) => {
        match ($way, $ld) {
            (Way::Packed, _) => &by_rows!($name, $rows, PACKED, 0),
            (Way::Rows, 80) => &by_rows!($name, $rows, ROWS, 80),
            (Way::Rows, 528) => &by_rows!($name, $rows, ROWS, 528),
            (Way::Rows, 2064) => &by_rows!($name, $rows, ROWS, 2064),
            (Way::Rows, 8208) => &by_rows!($name, $rows, ROWS, 8208),
            (Way::Columns, 80) => &by_rows!($name, $rows, COLUMNS, 80),
            (Way::Columns, 528) => &by_rows!($name, $rows, COLUMNS, 528),
            (Way::Columns, 2064) => &by_rows!($name, $rows, COLUMNS, 2064),
            (Way::Columns, 8208) => &by_rows!($name, $rows, COLUMNS, 8208),
            _ => return None,
        }
    };
}

/// The loop for a tile of `m` rows, if there is one: `ld` is one of [`super::STRIDES`], or of no matter for packed words;
/// words other than f32 are always packed.
#[rustfmt::skip]
pub(super) fn micro(level: Level, word: Word, way: Way, ld: usize, m: usize) -> Option<Micro> {
    let of_rows: &[Micro] = match (level, word) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Word::F32) => by_way!(f32_512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], way, ld),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Word::F32) => by_way!(f32_256, [1 2 3 4 5 6], way, ld),
        (Level::Plain, Word::F32) => by_way!(f32_plain, [1 2 3 4], way, ld),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Word::Bf16) => &by_rows!(bf16_512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], PACKED, 0),
        #[cfg(target_arch = "x86_64")]
        (_, Word::Bf16) => return None,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Word::Int8) if super::has_vnni() => {
            &by_rows!(int8_512, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], PACKED, 0)
        }
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Word::Int8) => &by_rows!(int8_plain, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], PACKED, 32),
        (_, Word::Int8) => &by_rows!(int8_plain, [1 2 3 4 5 6], PACKED, 16),
    };
    of_rows.get(m.wrapping_sub(1)).copied()
}
